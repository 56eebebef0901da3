package transport_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

// distant returns a client, after its handshake, of a server that plays the
// script behind a link.
func distant(t *testing.T, tc *transport.Config, script func(p *sshtest.Peer)) *transport.Conn {
	t.Helper()
	s := sshtest.Scripted(t, func(p *sshtest.Peer) {
		p.Handshake()
		script(p)
	})
	nc, err := s.DialContext(t.Context(), "tcp", s.Addr)
	require.NoError(t, err)
	tc.HostKey = transport.FixedHostKey(s.HostKey)
	c := transport.Client((&sshtest.Link{RTT: 100 * time.Millisecond}).Conn(nc), tc)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.Handshake(t.Context()))
	return c
}

// However many ask for new keys at once, they all get the same ones.
func TestManyAskForNewKeysAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := distant(t, &transport.Config{}, func(p *sshtest.Peer) {
			for {
				p.Receive()
			}
		})
		go func() { _, _ = c.ReadPacket() }()
		for wave := range 5 {
			var group sync.WaitGroup
			for n := range 100 {
				group.Go(func() {
					<-time.After(time.Duration(n) * time.Millisecond) // some while it is under way
					_ = c.Rekey()
				})
			}
			group.Wait()
			time.Sleep(time.Second)
			require.Equal(t, 2+wave, c.State().Exchanges)
		}
		require.NoError(t, c.Close())
	})
}

// Both sides ask in the same flight, which makes one exchange.
func TestBothAskForNewKeysInOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask := make(chan bool)
		c := distant(t, &transport.Config{}, func(p *sshtest.Peer) {
			<-ask
			p.Exchange()
			p.Send([]byte{80})
			p.Drain()
		})
		ask <- true
		require.NoError(t, c.Rekey())
		_, err := c.ReadPacket()
		require.NoError(t, err)
		require.Equal(t, 2, c.State().Exchanges)
		require.NoError(t, c.Close())
	})
}

// Close does not wait for an exchange, whoever has begun it, and whoever waits
// for that exchange waits no longer.
func TestCloseInTheMidstOfAnExchange(t *testing.T) {
	for name, test := range map[string]struct {
		script func(p *sshtest.Peer)
		ours   bool
	}{
		"begun by us":                  {func(p *sshtest.Peer) { p.Drain() }, true},
		"begun by the server":          {func(p *sshtest.Peer) { p.SendKexInit(); p.Drain() }, false},
		"the server's public key due":  {func(p *sshtest.Peer) { p.SendKexInit(); p.ReceiveKexInit(); p.Drain() }, false},
		"the server's NEWKEYS pending": {func(p *sshtest.Peer) { p.Instead(21, sshtest.IgnoreMsg{}); p.Exchange(); p.Drain() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := distant(t, &transport.Config{}, test.script)
				if test.ours {
					require.NoError(t, c.Rekey())
				}
				failed := make(chan error, 3)
				go func() { _, err := c.ReadPacket(); failed <- err }()
				for range 2 {
					go func() {
						for {
							if err := c.WritePacket([]byte{80}); err != nil {
								failed <- err
								return
							}
							time.Sleep(time.Millisecond)
						}
					}()
				}
				time.Sleep(time.Second)
				begun := time.Now()
				require.NoError(t, c.Close())
				for range 3 {
					requireEnded(t, c, <-failed)
				}
				require.Less(t, time.Since(begun), 200*time.Millisecond)
			})
		})
	}
}

// K4: KEXINIT upon KEXINIT, before any keys and after.
func TestFloodOfKexInit(t *testing.T) {
	flood := func(p *sshtest.Peer) {
		for range 100_000 {
			p.SendKexInit()
		}
		p.Drain()
	}
	for name, test := range map[string]struct {
		script func(p *sshtest.Peer)
		lax    bool
	}{
		"in the first exchange":        {func(p *sshtest.Peer) { p.SendVersion(); p.ReceiveVersion(); flood(p) }, false},
		"in the first one, not strict": {func(p *sshtest.Peer) { p.SendVersion(); p.ReceiveVersion(); flood(p) }, true},
		"in a later one":               {func(p *sshtest.Peer) { p.Handshake(); flood(p) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.Scripted(t, func(p *sshtest.Peer) { p.Lax = test.lax; test.script(p) })
			nc, err := s.DialContext(t.Context(), "tcp", s.Addr)
			require.NoError(t, err)
			c := transport.Client(nc, &transport.Config{HostKey: transport.FixedHostKey(s.HostKey)})
			err = c.Handshake(t.Context())
			if err == nil {
				_, err = c.ReadPacket()
			}
			require.ErrorAs(t, err, new(*transport.ProtocolError))
			requireEnded(t, c, err)
		})
	}
}
