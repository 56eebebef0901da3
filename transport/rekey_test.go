package transport_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// converse sends packets from several goroutines to a server that sends each back, while
// keys are exchanged, and checks that all come back whole and in order.
func converse(t *testing.T, c *transport.Conn, writers, each int) {
	t.Helper()
	packet := func(w, n int) []byte {
		seed := sha256.Sum256([]byte{byte(w), byte(n), byte(n >> 8)})
		data := bytes.Repeat(seed[:], n*13%300+1)
		return ssh.Marshal(&wire.GlobalRequestMsg{
			Name: "echo@example.com", WantReply: true, Payload: append([]byte{byte(w), byte(n), byte(n >> 8)}, data...),
		})
	}
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for n := range each {
				if c.WritePacket(packet(w, n)) != nil {
					return
				}
			}
		})
	}
	next := make([]int, writers)
	for range writers * each {
		p, err := c.ReadPacket()
		if err != nil {
			c.Close()
			group.Wait()
			require.NoError(t, err)
		}
		require.Equal(t, byte(81), p[0])
		w := int(p[1])
		var sent wire.GlobalRequestMsg
		require.NoError(t, ssh.Unmarshal(packet(w, next[w]), &sent))
		require.Equal(t, sent.Payload, append([]byte(nil), p[1:]...))
		next[w]++
	}
	group.Wait()
}

// K20: data stay whole while either side asks for new keys, however often.
func TestReexchangeUnderLoad(t *testing.T) {
	for name, test := range map[string]struct {
		config    transport.Config
		threshold uint64 // of the server, in bytes
		rekey     bool   // another goroutine asks all the time
	}{
		"by bytes":                   {config: transport.Config{RekeyBytes: 20000}},
		"by packets":                 {config: transport.Config{RekeyPackets: 5}},
		"for each packet":            {config: transport.Config{RekeyPackets: 1}},
		"by the server":              {threshold: 20000},
		"by both":                    {config: transport.Config{RekeyBytes: 20000}, threshold: 20000},
		"by both, at every moment":   {config: transport.Config{RekeyPackets: 3, RekeyBytes: 9000}, threshold: 10000, rekey: true},
		"by Rekey":                   {rekey: true},
		"by Rekey and the server":    {rekey: true, threshold: 20000},
		"without a limit but one":    {config: transport.Config{RekeyBytes: -1, RekeyPackets: -1, RekeyInterval: -1}, rekey: true},
		"in chacha20, by all":        {config: transport.Config{RekeyBytes: 20000, Ciphers: []string{"chacha20-poly1305@openssh.com"}}, threshold: 20000, rekey: true},
		"in aes-ctr, by all":         {config: transport.Config{RekeyBytes: 20000, Ciphers: []string{"aes128-ctr"}}, threshold: 20000, rekey: true},
		"by the age of a nanosecond": {config: transport.Config{RekeyInterval: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &ssh.ServerConfig{}
			s.AddHostKey(hostKey())
			s.RekeyThreshold = test.threshold
			test.config.HostKey = transport.FixedHostKey(hostKey().PublicKey())
			test.config.KeyExchanges = []string{"curve25519-sha256"}
			c := connect(t, s, test.config)
			id := c.SessionID()
			stop := make(chan struct{})
			var group sync.WaitGroup
			if test.rekey {
				group.Go(func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(time.Millisecond):
							if c.Rekey() != nil {
								return
							}
						}
					}
				})
			}
			converse(t, c, 4, 20)
			for c.State().Exchanges < 3 { // Rekey had no time yet
				converse(t, c, 4, 20)
			}
			close(stop)
			if test.rekey { // only a reader ends the exchange that may be under way
				require.NoError(t, c.Close())
			}
			group.Wait()
			require.Equal(t, id, c.SessionID())
		})
	}
}

// The keys' age counts when something is to be sent.
func TestReexchangeByAge(t *testing.T) {
	for name, test := range map[string]struct {
		interval, wait time.Duration
		exchanges      int
	}{
		"young":       {time.Minute, 59 * time.Second, 1},
		"old":         {time.Minute, time.Minute, 2},
		"default":     {0, time.Hour, 2},
		"default yet": {0, time.Hour - time.Second, 1},
		"never":       {-1, 1000 * time.Hour, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := connected(t, transport.Config{RekeyInterval: test.interval}, nil, func(p *wire.Peer) {
					p.Send([]byte{52})
					p.Receive(80)
					if test.exchanges > 1 {
						p.Exchange()
					}
					p.Send([]byte{81})
					p.Drain()
				})
				_, err := c.ReadPacket()
				require.NoError(t, err)
				time.Sleep(test.wait)
				synctest.Wait()
				require.Equal(t, 1, c.State().Exchanges)
				require.NoError(t, c.WritePacket([]byte{80}))
				_, err = c.ReadPacket()
				require.NoError(t, err)
				require.Equal(t, test.exchanges, c.State().Exchanges)
			})
		})
	}
}

// No keys are asked for before authentication, where a single goroutine writes and reads
// in turn.
func TestNoReexchangeBeforeAuthentication(t *testing.T) {
	c := connected(t, transport.Config{RekeyPackets: 1}, nil, func(p *wire.Peer) {
		for range 5 {
			p.Send(p.Receive(60))
		}
		p.Send([]byte{52})
		p.Exchange() // due since the limit was passed
		p.Send([]byte{80})
		p.Drain()
	})
	for range 5 {
		require.NoError(t, c.WritePacket([]byte{60}))
		_, err := c.ReadPacket()
		require.NoError(t, err)
	}
	for _, want := range []byte{52, 80} {
		p, err := c.ReadPacket()
		require.NoError(t, err)
		require.Equal(t, want, p[0])
	}
}

// Asking twice is asking once.
func TestRekeyWhileAnExchangeIsUnderWay(t *testing.T) {
	c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
		p.Exchange()
		p.Send([]byte{80})
		p.Drain()
	})
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() { _ = c.Rekey() })
	}
	_, err := c.ReadPacket()
	require.NoError(t, err)
	require.NoError(t, c.Close())
	group.Wait()
	require.Equal(t, 2, c.State().Exchanges)
}

// K21: an exchange of either side that never ends. Writers wait, memory is bounded, and
// the timeout ends the connection.
func TestReexchangeThatNeverEnds(t *testing.T) {
	for name, begin := range map[string]func(c *transport.Conn, p *wire.Peer){
		"begun by the server": func(_ *transport.Conn, p *wire.Peer) { p.SendKexInit(); p.Drain() },
		"begun by us":         func(c *transport.Conn, p *wire.Peer) { _ = c.Rekey(); p.Drain() },
		"no NEWKEYS":          func(_ *transport.Conn, p *wire.Peer) { p.Instead(21, ignore); p.Exchange(); p.Drain() },
		"ignores for ever": func(_ *transport.Conn, p *wire.Peer) {
			p.SendKexInit()
			go p.Drain()
			dripForever(p, p.Seal(ignore))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ready := make(chan *transport.Conn, 1)
				c := connected(t, transport.Config{HandshakeTimeout: 30 * time.Second}, nil, func(p *wire.Peer) {
					begin(<-ready, p)
				})
				start := time.Now()
				ready <- c
				var group sync.WaitGroup
				failed := make(chan error, 8)
				for range 8 {
					group.Go(func() {
						for {
							if err := c.WritePacket([]byte{80}); err != nil {
								failed <- err
								return
							}
							time.Sleep(time.Second)
						}
					})
				}
				_, err := c.ReadPacket()
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorContains(t, err, "key re-exchange: the server took more than HandshakeTimeout 30s")
				require.ErrorAs(t, err, new(*transport.BudgetError))
				require.Equal(t, 30*time.Second, time.Since(start))
				requireEnded(t, c, err)
				group.Wait()
				for range 8 {
					err := <-failed
					require.ErrorIs(t, err, net.ErrClosed)
					require.ErrorIs(t, err, context.DeadlineExceeded)
				}
			})
		})
	}
}

// Packets that cross our KEXINIT are delivered in between.
func TestDataThatCrossesOurKexInit(t *testing.T) {
	c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
		p.Receive(20) // and not answered yet
		for n := range uint32(1000) {
			p.Send(binary.BigEndian.AppendUint32([]byte{94}, n))
		}
		p.Send(ping)
		p.Drain()
	})
	require.NoError(t, c.Rekey())
	for n := range uint32(1000) {
		p, err := c.ReadPacket()
		require.NoError(t, err)
		require.Equal(t, n, binary.BigEndian.Uint32(p[1:]))
	}
}

// Until the server's NEWKEYS has come, the first exchange is not over, and no other may
// begin.
func TestRekeyBeforeTheEndOfTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		c := client(t, transport.Config{}, func(p *wire.Peer) {
			p.KexReply = func(m *wire.KexECDHReplyMsg) {
				p.Send(m)
				<-release
				runtime.Goexit()
			}
			p.Handshake()
		})
		done := make(chan error, 1)
		go func() { done <- c.Handshake(t.Context()) }()
		synctest.Wait()
		require.NoError(t, c.Rekey(), "nothing is to be done")
		require.Zero(t, c.State().Exchanges)
		require.NoError(t, c.WritePacket([]byte{80}), "our own keys are in use already")
		close(release)
		require.Error(t, <-done)
	})
}

// Answers cannot be sent in an exchange of ours, so the reader must not wait for room:
// pings that cross our KEXINIT are answered behind the exchange.
func TestPingsThatCrossOurKexInit(t *testing.T) {
	large := text(192, strings.Repeat("p", 30000))
	authenticated := func(t *testing.T, run func(p *wire.Peer)) *transport.Conn {
		c := connected(t, transport.Config{HandshakeTimeout: -1}, nil, func(p *wire.Peer) {
			p.Send([]byte{52})
			p.ReceiveKexInit()
			run(p)
		})
		_, err := c.ReadPacket()
		require.NoError(t, err)
		require.NoError(t, c.Rekey())
		return c
	}
	t.Run("some", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := authenticated(t, func(p *wire.Peer) {
				p.Send(each(slices.Repeat([][]byte{large}, 10))...)
				p.SendKexInit()
				p.FinishKex()
				for range 10 {
					p.Receive(193)
				}
				p.Send([]byte{80})
				p.Drain()
			})
			p, err := c.ReadPacket()
			require.NoError(t, err)
			require.Equal(t, []byte{80}, p)
		})
	})
	t.Run("too many", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := authenticated(t, func(p *wire.Peer) {
				p.Send(each(slices.Repeat([][]byte{large}, 100))...)
				p.Drain()
			})
			_, err := c.ReadPacket()
			require.ErrorAs(t, err, new(*transport.ProtocolError))
			requireEnded(t, c, err)
		})
	})
	t.Run("the exchange begins while the reader waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ask, listen := make(chan bool), make(chan bool)
			c := connected(t, transport.Config{HandshakeTimeout: -1}, nil, func(p *wire.Peer) {
				p.Send([]byte{52})
				<-ask
				p.Send(each(slices.Repeat([][]byte{large}, 6))...)
				<-listen
				p.Exchange()
				p.Send([]byte{80})
				p.Drain()
			})
			_, err := c.ReadPacket()
			require.NoError(t, err)
			// A writer waits for the server, Rekey for the writer, the answers for
			// Rekey, and the reader for the answers.
			write := make(chan error, 1)
			go func() { write <- c.WritePacket(append([]byte{80}, make([]byte, 200000)...)) }()
			synctest.Wait()
			rekey := make(chan error, 1)
			go func() { rekey <- c.Rekey() }()
			synctest.Wait()
			read := make(chan error, 1)
			go func() { _, err := c.ReadPacket(); read <- err }()
			ask <- true
			synctest.Wait()
			require.Empty(t, write)
			listen <- true
			require.NoError(t, <-write)
			require.NoError(t, <-rekey)
			require.NoError(t, <-read)
		})
	})
}

// distant returns a client, after its handshake, of a server that plays the
// script behind a link.
func distant(t *testing.T, tc *transport.Config, script func(p *wire.Peer)) *transport.Conn {
	t.Helper()
	s := sshtest.Scripted(t, func(p *wire.Peer) {
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

// Many callers of Rekey at once all get the same keys.
func TestManyAskForNewKeysAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := distant(t, &transport.Config{}, func(p *wire.Peer) {
			for {
				p.Receive()
			}
		})
		go func() { _, _ = c.ReadPacket() }()
		for wave := range 5 {
			var group sync.WaitGroup
			for n := range 100 {
				group.Go(func() {
					<-time.After(time.Duration(n) * time.Millisecond) // some during the exchange
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

// Both sides ask in the same flight, and exchange keys once.
func TestBothAskForNewKeysInOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask := make(chan bool)
		c := distant(t, &transport.Config{}, func(p *wire.Peer) {
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
