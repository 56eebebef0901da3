package connection_test

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

var keepAlives = map[string]struct {
	config connection.Config
	peer   func(p *peer)
	asked  int           // keepalives left unread by the peer
	ends   time.Duration // 0: does not
}{
	"off": {
		connection.Config{}, func(*peer) {}, 0, 0,
	},
	"no sign of life": {
		connection.Config{KeepAliveInterval: time.Minute, KeepAliveCount: 2}, func(*peer) {}, 2, 3 * time.Minute,
	},
	"default count": {
		connection.Config{KeepAliveInterval: time.Minute}, func(*peer) {}, 3, 4 * time.Minute,
	},
	"refused, which is an answer": {
		connection.Config{KeepAliveInterval: time.Minute, KeepAliveCount: 1}, func(p *peer) {
			for range 5 {
				expect[globalRequestMsg](p)
				p.send(&requestFailureMsg{})
			}
		}, 1, 7 * time.Minute,
	},
	"traffic of the peer": {
		connection.Config{KeepAliveInterval: time.Minute, KeepAliveCount: 1}, func(p *peer) {
			for range 29 {
				time.Sleep(20 * time.Second)
				p.send(&globalRequestMsg{"x", false, nil})
			}
		}, 1, 12 * time.Minute,
	},
	"peer that does not read": {
		connection.Config{KeepAliveInterval: time.Minute, KeepAliveCount: 4}, func(p *peer) { p.in.setLimit(-1) }, 0, 5 * time.Minute,
	},
}

func TestKeepAlive(t *testing.T) {
	for name, test := range keepAlives {

		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				ours, theirs := pipe()
				p := &peer{t: t, end: theirs, ours: ours}
				c := connection.New(ours, &test.config)
				test.peer(p)
				if test.ends == 0 {
					time.Sleep(24 * time.Hour)
					require.Zero(t, theirs.in.length())
					require.NoError(t, c.Close())
					return
				}
				waiting := async(func() ([]byte, error) { return c.Request(t.Context(), "x", nil) })
				err := c.Wait()
				require.Equal(t, test.ends, time.Since(begin))
				var silent *connection.KeepAliveError
				require.ErrorAs(t, err, &silent)
				require.Equal(t, time.Minute, silent.Interval)
				var timeout net.Error
				require.ErrorAs(t, (<-waiting).err, &timeout)
				require.True(t, timeout.Timeout())
				asked := 0
				for theirs.in.length() > 0 {
					if expect[globalRequestMsg](p).Name == "keepalive@openssh.com" {
						asked++
					}
				}
				require.Equal(t, test.asked, asked)
			})
		})
	}
}
