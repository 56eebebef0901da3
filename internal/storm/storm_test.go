package storm_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
)

// counter is a host key that counts its signatures, and thus the exchanges.
type counter struct {
	ssh.Signer
	signed atomic.Int64
}

func (c *counter) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	c.signed.Add(1)
	return c.Signer.Sign(rand, data)
}

// through has connections to a server go a long way.
func through(s *sshtest.Server, rtt time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := s.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return (&sshtest.Link{RTT: rtt}).Conn(c), nil
	}
}

// K20: an hour of fake time, on a long way, with new keys from both sides as
// often as possible. The way bounds the number, and so the hour is cheap.
func TestHourOfStorm(t *testing.T) {
	for name, test := range map[string]struct {
		options   sshtest.Options
		rtt       time.Duration
		exchanges int // at least
	}{
		"x/crypto, every 256 bytes": {
			sshtest.Options{Config: ssh.Config{RekeyThreshold: 1}}, 400 * time.Millisecond, 3600,
		},
		"after every packet": {
			sshtest.Options{Script: func(p *wire.Peer) {
				p.Login()
				(&stormy{Peer: p, channels: make(map[uint32]*stormyChannel)}).run()
			}}, time.Second, 1500,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				key := &counter{Signer: sshtest.NewSigner(t, ssh.KeyAlgoECDSA256)}
				test.options.InMemory, test.options.HostKeys = true, []ssh.Signer{key}
				s := sshtest.NewServer(t, &test.options)
				client := dial(t, s, test.rtt)
				l := &load{client: client, until: time.Now().Add(time.Hour), opens: 2, rekey: 10 * time.Second}
				l.again(l.weigh)
				l.run(t)
				exchanges := client.Transport().State().Exchanges
				require.NoError(t, client.Close())
				s.Close()
				require.Greater(t, exchanges, test.exchanges, "in an hour")
				require.GreaterOrEqual(t, key.signed.Load(), int64(exchanges))
				require.LessOrEqual(t, key.signed.Load(), int64(exchanges+1), "the last exchange may be incomplete")
				require.Less(t, l.heap, uint64(32<<20))
			})
		})
	}
}

// weigh keeps the largest size of the heap.
func (l *load) weigh() error {
	<-time.After(time.Minute)
	l.heap = max(l.heap, heap())
	return nil
}
