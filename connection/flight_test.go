package connection_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// flyer is a transport that takes packets without a wait, as many as try says.
// If it says that there is more, the last of them leaves with the next write.
type flyer struct {
	*end
	try    func(packets [][2][]byte) (n int, more bool, err error) // nil takes all
	left   []byte
	sizes  []int // of the flights, in packets
	others int   // calls of WritePackets
}

func (f *flyer) TryWritePackets(packets [][2][]byte) (n int, more bool, err error) {
	f.sizes = append(f.sizes, len(packets))
	n = len(packets)
	if f.try != nil {
		n, more, err = f.try(packets)
	}
	for i, p := range packets[:n] {
		packet := append(bytes.Clone(p[0]), p[1]...)
		if more && i == n-1 {
			f.left = packet
		} else if err := f.WritePacket(packet); err != nil {
			return i, false, err
		}
	}
	return n, more, err
}

func (f *flyer) WritePackets(packets ...[]byte) error {
	f.others++
	if f.left != nil {
		packets = append([][]byte{f.left}, packets...)
		f.left = nil
	}
	for _, p := range packets {
		if err := f.WritePacket(p); err != nil {
			return err
		}
	}
	return nil
}

// fly returns a channel over a flyer, its number at the peer, and the peer. The
// calls by which it was opened are not counted.
func fly(t *testing.T, window, maxPacket uint32) (*connection.Conn, *connection.Channel, *flyer, *peer) {
	t.Helper()
	return flyWith(t, nil, window, maxPacket)
}

func flyWith(
	t *testing.T, config *connection.Config, window, maxPacket uint32,
) (*connection.Conn, *connection.Channel, *flyer, *peer) {
	t.Helper()
	ours, theirs := pipe()
	f := &flyer{end: ours}
	c, p := connection.New(f, config), &peer{t: t, end: theirs, ours: ours}
	t.Cleanup(func() {
		_ = c.Close()
		_ = p.Close()
	})
	ch, _ := p.openWith(c, nil, window, maxPacket)
	synctest.Wait()
	f.others = 0
	return c, ch, f, p
}

// received reads n bytes of data in packets of at most most bytes.
func received(p *peer, n, most int) []byte {
	p.t.Helper()
	var data []byte
	for len(data) < n {
		m := expect[dataMsg](p)
		require.LessOrEqual(p.t, len(m.Data), most)
		data = append(data, m.Data...)
	}
	return data
}

// Much data leaves by the goroutine that writes it, and little does not.
func TestWriteIsAFlight(t *testing.T) {
	for _, test := range []struct {
		size      int
		window    uint32
		maxPacket uint32
		flights   []int
	}{
		{100, peerWindow, peerMaxPacket, nil},
		{16<<10 - 1, peerWindow, peerMaxPacket, nil},
		{16 << 10, peerWindow, peerMaxPacket, []int{1}},
		{100_000, peerWindow, peerMaxPacket, []int{4}},
		{300_000, peerWindow, peerMaxPacket, []int{4, 4, 2}},
		{20_000, peerWindow, 1000, []int{16, 4}},
		{20_000, 20_000, 1 << 30, []int{1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, ch, f, p := fly(t, test.window, test.maxPacket)
			data := pattern(test.size)
			n, err := ch.Write(data)
			require.NoError(t, err)
			require.Equal(t, len(data), n)
			require.Equal(t, data, received(p, len(data), int(test.maxPacket)))
			require.Equal(t, test.flights, f.sizes)
			require.Equal(t, test.flights == nil, f.others > 0)
		})
	}
}

func TestFlightOfStderrHasItsHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ch, f, p := fly(t, peerWindow, peerMaxPacket)
		data := pattern(40_000)
		_, err := ch.Stderr().Write(data)
		require.NoError(t, err)
		first, second := expect[extendedMsg](p), expect[extendedMsg](p)
		require.Equal(t, []uint32{1, 1}, []uint32{first.Code, second.Code})
		require.Equal(t, data, append(first.Data, second.Data...))
		require.Equal(t, []int{2}, f.sizes)
	})
}

// A flight stops at the window, and goes on when there is more of it.
func TestFlightStopsAtTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ch, f, p := fly(t, 50_000, peerMaxPacket)
		data := pattern(120_000)
		written := async(func() (int, error) { return ch.Write(data) })
		got := received(p, 50_000, peerMaxPacket)
		synctest.Wait()
		p.quiet()
		p.send(&adjustMsg{0, 1})
		got = append(got, received(p, 1, peerMaxPacket)...)
		p.send(&adjustMsg{0, 1 << 20})
		got = append(got, received(p, len(data)-len(got), peerMaxPacket)...)
		require.Equal(t, result[int]{len(data), nil}, <-written)
		require.Equal(t, data, got)
		require.Equal(t, []int{2, 1, 3}, f.sizes)
	})
}

func TestReadFromFlies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ch, f, p := fly(t, peerWindow, peerMaxPacket)
		data := pattern(300_000)
		n, err := ch.ReadFrom(struct{ io.Reader }{bytes.NewReader(data)})
		require.NoError(t, err)
		require.EqualValues(t, len(data), n)
		require.Equal(t, data, received(p, len(data), peerMaxPacket))
		require.Equal(t, []int{1, 4, 4}, f.sizes, "larger reads where there is much; the last is too little")
		require.Positive(t, f.others)
	})
}

// What the transport does not take is the write loop's, before all that was
// queued meanwhile, and the caller may have its buffer back.
func TestFlightThatDoesNotGetFar(t *testing.T) {
	for i := range 20 {
		n, more, meanwhile := i/4, i%2 > 0, i%4 > 1
		if n == 0 && more {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			c, ch, f, p := fly(t, peerWindow, peerMaxPacket)
			f.try = func([][2][]byte) (int, bool, error) {
				f.try = nil
				if !meanwhile {
					return n, more, nil
				}
				_, err := c.SendRequest(t.Context(), "meanwhile", false, nil)
				return n, more, err
			}
			data := pattern(4 * peerMaxPacket)
			buffer := bytes.Clone(data)
			_, err := ch.Write(buffer)
			require.NoError(t, err)
			clear(buffer)
			require.Equal(t, data, received(p, len(data), peerMaxPacket))
			if meanwhile {
				require.Equal(t, "meanwhile", expect[globalRequestMsg](p).Name)
			}
			_, err = ch.Write(data)
			require.NoError(t, err)
			require.Equal(t, data, received(p, len(data), peerMaxPacket))
		})
	}
}

// What falls due while a flight is under way leaves when it is over: nothing else
// might be written for a long time.
func TestWhatIsDueAfterAFlight(t *testing.T) {
	for name, test := range map[string]struct {
		during func(t *testing.T, ch *connection.Channel, p *peer)
		check  func(p *peer)
	}{
		"window": {
			func(t *testing.T, ch *connection.Channel, p *peer) {
				p.send(&dataMsg{0, make([]byte, 16<<10)})
				_, err := io.ReadFull(ch, make([]byte, 16<<10))
				require.NoError(t, err)
			},
			func(p *peer) { require.EqualValues(p.t, 16<<10, expect[adjustMsg](p).Bytes) },
		},
		"keepalive": {
			func(*testing.T, *connection.Channel, *peer) { time.Sleep(150 * time.Second) },
			func(p *peer) { require.Equal(p.t, "keepalive@openssh.com", expect[globalRequestMsg](p).Name) },
		},
		"request": {
			func(t *testing.T, ch *connection.Channel, _ *peer) {
				_, err := ch.SendRequest(t.Context(), "x", false, nil)
				require.NoError(t, err)
			},
			func(p *peer) { require.Equal(p.t, "x", expect[requestMsg](p).Name) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := &connection.Config{Window: 64 << 10, KeepAliveInterval: time.Minute}
				_, ch, f, p := flyWith(t, config, peerWindow, peerMaxPacket)
				f.try = func(packets [][2][]byte) (int, bool, error) {
					test.during(t, ch, p)
					return len(packets), false, nil
				}
				_, err := ch.Write(pattern(20_000))
				require.NoError(t, err)
				synctest.Wait()
				require.Equal(t, 2, p.in.length())
				received(p, 20_000, peerMaxPacket)
				test.check(p)
			})
		})
	}
}

// Whoever takes longer to come by data than a flight takes has the write loop
// seal it meanwhile.
func TestSlowWriterDoesNotFly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ch, f, p := fly(t, peerWindow, peerMaxPacket)
		f.try = func(packets [][2][]byte) (int, bool, error) {
			time.Sleep(10 * time.Millisecond)
			return len(packets), false, nil
		}
		flights := 0
		for _, step := range []struct {
			pause time.Duration
			size  int
			flies int
		}{
			{time.Hour, 20_000, 1}, // nothing is known yet
			{0, 20_000, 1},
			{10 * time.Millisecond, 20_000, 1},
			{11 * time.Millisecond, 20_000, 0},
			{11 * time.Millisecond, 30_000, 1},
			{time.Hour, 30_000, 0},
			{time.Hour, 30_000, 0},
			{0, 30_000, 1},
		} {
			time.Sleep(step.pause)
			_, err := ch.Write(pattern(step.size))
			require.NoError(t, err)
			received(p, step.size, peerMaxPacket)
			synctest.Wait()
			require.Len(t, f.sizes, flights+step.flies, "%+v", step)
			flights += step.flies
		}
	})
}

// A flight that the transport refuses, or a write that has to wait for others,
// says nothing of what flights cost.
func TestFlightsGoOnAfterABusyMoment(t *testing.T) {
	for name, busy := range map[string]func(t *testing.T, c *connection.Conn, ch *connection.Channel, f *flyer){
		"refused": func(t *testing.T, _ *connection.Conn, ch *connection.Channel, f *flyer) {
			try := f.try
			f.try = func([][2][]byte) (int, bool, error) {
				time.Sleep(time.Nanosecond) // no time at all would count as not measured
				return 0, false, nil
			}
			_, err := ch.Write(pattern(20_000))
			require.NoError(t, err)
			f.try = try
		},
		"queued": func(t *testing.T, c *connection.Conn, ch *connection.Channel, _ *flyer) {
			_, err := c.SendRequest(t.Context(), "x", false, nil)
			require.NoError(t, err)
			_, err = ch.Write(pattern(20_000))
			require.NoError(t, err)
		},
		"a small rest": func(t *testing.T, _ *connection.Conn, ch *connection.Channel, _ *flyer) {
			_, err := ch.Write(pattern(128<<10 + 1))
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, ch, f, _ := fly(t, peerWindow, peerMaxPacket)
				f.try = func(packets [][2][]byte) (int, bool, error) {
					time.Sleep(time.Millisecond)
					return len(packets), false, nil
				}
				for range 3 {
					busy(t, c, ch, f)
					synctest.Wait()
					f.sizes = nil
					for range 3 {
						time.Sleep(500 * time.Microsecond)
						_, err := ch.Write(pattern(20_000))
						require.NoError(t, err)
						synctest.Wait()
					}
					if name == "a small rest" {
						require.Len(t, f.sizes, 0, "128 KiB take a millisecond, and 20 kB less")
					} else {
						require.Len(t, f.sizes, 3)
					}
				}
			})
		})
	}
}

// Whatever is called while a flight is under way comes behind it.
func TestCallsDuringAFlight(t *testing.T) {
	for name, test := range map[string]struct {
		call  func(t *testing.T, c *connection.Conn, ch *connection.Channel)
		check func(p *peer)
	}{
		"EOF": {
			func(t *testing.T, _ *connection.Conn, ch *connection.Channel) { require.NoError(t, ch.CloseWrite()) },
			func(p *peer) { expect[eofMsg](p) },
		},
		"CLOSE": {
			func(t *testing.T, _ *connection.Conn, ch *connection.Channel) { require.NoError(t, ch.Close()) },
			func(p *peer) { expect[closeMsg](p) },
		},
		"end of the connection": {
			func(t *testing.T, c *connection.Conn, _ *connection.Channel) {
				_, err := c.SendRequest(t.Context(), "before", false, nil)
				require.NoError(t, err)
				go c.Close()
				synctest.Wait()
			},
			func(p *peer) {
				require.Equal(p.t, "before", expect[globalRequestMsg](p).Name)
				_, err := p.ReadPacket()
				require.ErrorIs(p.t, err, io.EOF)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, ch, f, p := fly(t, peerWindow, peerMaxPacket)
				f.try = func(packets [][2][]byte) (int, bool, error) {
					test.call(t, c, ch)
					return len(packets), false, nil
				}
				data := pattern(200_000)
				n, err := ch.Write(data)
				require.ErrorIs(t, err, net.ErrClosed)
				require.Equal(t, 4*peerMaxPacket, n)
				require.Equal(t, data[:n], received(p, n, peerMaxPacket))
				test.check(p)
			})
		})
	}
}

func TestFlushWaitsForAFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ch, f, _ := fly(t, peerWindow, peerMaxPacket)
		var flushed <-chan error
		f.try = func(packets [][2][]byte) (int, bool, error) {
			flushed = call(func() error { return c.Flush(t.Context()) })
			synctest.Wait()
			require.Empty(t, flushed)
			return len(packets), false, nil
		}
		_, err := ch.Write(pattern(peerMaxPacket))
		require.NoError(t, err)
		require.NoError(t, <-flushed)
	})
}

func TestFlightThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ch, f, _ := fly(t, peerWindow, peerMaxPacket)
		broken := errors.New("broken")
		f.try = func([][2][]byte) (int, bool, error) { return 1, false, broken }
		_, _ = ch.Write(pattern(40_000))
		synctest.Wait()
		_, err := ch.Write(pattern(40_000))
		require.ErrorIs(t, err, broken)
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, c.Wait(), broken, "when the reader has had its time")
		require.Len(t, f.sizes, 1)
	})
}

// A transport that takes a part and then nothing any more leaves every call to
// its deadline.
func TestDeadlineOfAWriteBehindAFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ch, f, p := fly(t, peerWindow, peerMaxPacket)
		p.in.setLimit(-1)
		f.try = func([][2][]byte) (int, bool, error) { return 0, false, nil }
		require.NoError(t, ch.SetWriteDeadline(time.Now().Add(time.Minute)))
		begin := time.Now()
		n, err := ch.Write(pattern(900_000))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Less(t, n, 500_000)
		require.Equal(t, time.Minute, time.Since(begin))
		require.Len(t, f.sizes, 1)
	})
}
