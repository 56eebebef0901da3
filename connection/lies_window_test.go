package connection_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// C9: window that a peer has earned with discarded data would be memory for a reader that reads
// nothing.
func TestDiscardedDataDoesNotEnlargeTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window, packet = 80_000, 10_000
		c, p := start(t, &connection.Config{Window: window, MaxWindow: 16 * window})
		_, id := p.open(c, nil)
		granted, sent := window, 0
		take := func() {
			synctest.Wait()
			for p.in.length() > 0 {
				granted += int(expect[adjustMsg](p).Bytes)
			}
		}
		gap := 20 * time.Millisecond
		for i := range 400 {
			if i%40 == 39 {
				gap = gap * 3 / 4 // faster and faster, as if the window were the limit
			}
			time.Sleep(gap)
			p.send(&extendedMsg{id, 99, make([]byte, packet)})
			sent += packet
			take()
		}
		unread := 0
		for granted-sent >= packet {
			p.send(&dataMsg{id, make([]byte, packet)})
			sent += packet
			unread += packet
			take()
		}
		require.LessOrEqual(t, unread, window)
	})
}

// On a long way a reader may be fast enough to keep a grown window from filling, and still have
// megabytes waiting.
func TestSlowReaderLosesALargeWindowWhateverItsRate(t *testing.T) {
	for _, rate := range []int{5, 12} {
		synctest.Test(t, func(t *testing.T) {
			f := startFlow(t, 200*time.Millisecond, nil)
			f.drain(6 * time.Second)
			grown := f.open()
			begin, n := time.Now(), 0
			for time.Since(begin) < 20*time.Second {
				f.sip(64 << 10)
				n += 64 << 10
				time.Sleep(time.Until(begin.Add(time.Duration(n) * time.Second / time.Duration(rate*mega))))
			}
			require.Less(t, f.open(), grown/2, "%d MB/s", rate)
		})
	}
}

func TestLargestWindowIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window, packet = 1 << 30, 128 << 10
		c, p := start(t, &connection.Config{Window: window, MaxPacket: packet})
		ch, id := p.open(c, nil)
		into := make([]byte, packet)
		outstanding := window
		data := marshal(&dataMsg{id, make([]byte, packet)})
		for i := range 2 * window / packet {
			if i%1024 == 0 {
				time.Sleep(10 * time.Millisecond)
			}
			if i%64 == 0 {
				synctest.Wait()
				for p.in.length() > 0 {
					outstanding += int(expect[adjustMsg](p).Bytes)
				}
			}
			require.GreaterOrEqual(t, outstanding, packet)
			require.NoError(t, p.WritePacket(data))
			outstanding -= packet
			_, err := ch.Read(into)
			require.NoError(t, err)
		}
	})
}
