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

// The writing goroutine sends large data itself, and leaves small data to the write
// loop.
func TestLargeWritesAreDirect(t *testing.T) {
	for _, test := range []struct {
		size      int
		window    uint32
		maxPacket uint32
		direct    []int
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
			_, ch, f, p := startDirect(t, test.window, test.maxPacket)
			data := pattern(test.size)
			n, err := ch.Write(data)
			require.NoError(t, err)
			require.Equal(t, len(data), n)
			require.Equal(t, data, received(p, len(data), int(test.maxPacket)))
			require.Equal(t, test.direct, f.direct)
			require.Equal(t, test.direct == nil, len(f.batches) > 0)
		})
	}
}

func TestDirectWriteOfStderrHasItsHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ch, f, p := startDirect(t, peerWindow, peerMaxPacket)
		data := pattern(40_000)
		_, err := ch.Stderr().Write(data)
		require.NoError(t, err)
		first, second := expect[extendedMsg](p), expect[extendedMsg](p)
		require.Equal(t, []uint32{1, 1}, []uint32{first.Stream, second.Stream})
		require.Equal(t, data, append(first.Data, second.Data...))
		require.Equal(t, []int{2}, f.direct)
	})
}

// A direct write stops at the window, and goes on with more window.
func TestDirectWriteStopsAtTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ch, f, p := startDirect(t, 50_000, peerMaxPacket)
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
		require.Equal(t, []int{2, 1, 3}, f.direct)
	})
}

func TestReadFromIsDirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ch, f, p := startDirect(t, peerWindow, peerMaxPacket)
		data := pattern(300_000)
		n, err := ch.ReadFrom(struct{ io.Reader }{bytes.NewReader(data)})
		require.NoError(t, err)
		require.EqualValues(t, len(data), n)
		require.Equal(t, data, received(p, len(data), peerMaxPacket))
		require.Equal(t, []int{1, 4, 4}, f.direct, "larger reads where there is much; the last is too little")
		require.NotEmpty(t, f.batches)
	})
}

// A rest in the transport leaves before all packets that were queued meanwhile;
// data that the transport refuses comes behind those. Either way the caller may
// reuse the buffer after Write.
func TestDirectWriteThatDoesNotGetFar(t *testing.T) {
	for i := range 6 {
		ok, more, meanwhile := i < 4, i%4 > 1, i%2 > 0
		synctest.Test(t, func(t *testing.T) {
			c, ch, f, p := startDirect(t, peerWindow, peerMaxPacket)
			f.try = func() (bool, bool, error) {
				f.try = nil
				var err error
				if meanwhile {
					_, err = c.SendRequest(t.Context(), "meanwhile", false, nil)
				}
				return ok, more, err
			}
			data := pattern(4 * peerMaxPacket)
			buffer := bytes.Clone(data)
			_, err := ch.Write(buffer)
			require.NoError(t, err)
			clear(buffer)
			if meanwhile && !ok {
				require.Equal(t, "meanwhile", expect[globalRequestMsg](p).Name)
			}
			require.Equal(t, data, received(p, len(data), peerMaxPacket))
			if meanwhile && ok {
				require.Equal(t, "meanwhile", expect[globalRequestMsg](p).Name)
			}
			synctest.Wait()
			require.Equal(t, more, f.flushes > 0)
			_, err = ch.Write(data)
			require.NoError(t, err)
			require.Equal(t, data, received(p, len(data), peerMaxPacket))
		})
	}
}

// Packets that fall due during a direct write leave at its end: perhaps nothing
// else is written for a long time.
func TestPacketsDueDuringADirectWrite(t *testing.T) {
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
				_, ch, f, p := startDirectWith(t, config, peerWindow, peerMaxPacket)
				f.try = func() (ok, more bool, err error) {
					test.during(t, ch, p)
					return true, false, nil
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

// Data is sealed by the write loop while its producer takes longer than a direct
// write does.
func TestSlowWriterIsNotDirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ch, f, p := startDirect(t, peerWindow, peerMaxPacket)
		f.try = func() (ok, more bool, err error) {
			time.Sleep(10 * time.Millisecond)
			return true, false, nil
		}
		tried := 0
		for _, step := range []struct {
			pause  time.Duration
			size   int
			direct int
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
			require.Len(t, f.direct, tried+step.direct, "%+v", step)
			tried += step.direct
		}
	})
}

// A direct write that the transport refuses and a write that waits for others tell
// nothing about the cost of direct writes.
func TestDirectWritesGoOnAfterABusyMoment(t *testing.T) {
	for name, busy := range map[string]func(t *testing.T, c *connection.Conn, ch *connection.Channel, f *directEnd){
		"refused": func(t *testing.T, _ *connection.Conn, ch *connection.Channel, f *directEnd) {
			try := f.try
			f.try = func() (ok, more bool, err error) {
				time.Sleep(time.Nanosecond) // no time at all would count as not measured
				return false, false, nil
			}
			_, err := ch.Write(pattern(20_000))
			require.NoError(t, err)
			f.try = try
		},
		"queued": func(t *testing.T, c *connection.Conn, ch *connection.Channel, _ *directEnd) {
			_, err := c.SendRequest(t.Context(), "x", false, nil)
			require.NoError(t, err)
			_, err = ch.Write(pattern(20_000))
			require.NoError(t, err)
		},
		"a small rest": func(t *testing.T, _ *connection.Conn, ch *connection.Channel, _ *directEnd) {
			_, err := ch.Write(pattern(128<<10 + 1))
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, ch, f, _ := startDirect(t, peerWindow, peerMaxPacket)
				f.try = func() (ok, more bool, err error) {
					time.Sleep(time.Millisecond)
					return true, false, nil
				}
				for range 3 {
					busy(t, c, ch, f)
					synctest.Wait()
					f.direct = nil
					for range 3 {
						time.Sleep(500 * time.Microsecond)
						_, err := ch.Write(pattern(20_000))
						require.NoError(t, err)
						synctest.Wait()
					}
					if name == "a small rest" {
						require.Len(t, f.direct, 0, "128 KiB take a millisecond, and 20 kB less")
					} else {
						require.Len(t, f.direct, 3)
					}
				}
			})
		})
	}
}

// The packets of all calls during a direct write come behind the data.
func TestCallsDuringADirectWrite(t *testing.T) {
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
				c, ch, f, p := startDirect(t, peerWindow, peerMaxPacket)
				f.try = func() (ok, more bool, err error) {
					test.call(t, c, ch)
					return true, false, nil
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

func TestFlushWaitsForADirectWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ch, f, _ := startDirect(t, peerWindow, peerMaxPacket)
		var flushed <-chan error
		f.try = func() (ok, more bool, err error) {
			flushed = call(func() error { return c.Flush(t.Context()) })
			synctest.Wait()
			require.Empty(t, flushed)
			return true, false, nil
		}
		_, err := ch.Write(pattern(peerMaxPacket))
		require.NoError(t, err)
		require.NoError(t, <-flushed)
	})
}

func TestDirectWriteThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ch, f, _ := startDirect(t, peerWindow, peerMaxPacket)
		broken := errors.New("broken")
		f.try = func() (ok, more bool, err error) { return true, false, broken }
		_, _ = ch.Write(pattern(40_000))
		synctest.Wait()
		_, err := ch.Write(pattern(40_000))
		require.ErrorIs(t, err, broken)
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, c.Wait(), broken, "when the reader has had its time")
		require.Len(t, f.direct, 1)
	})
}

// A transport that refuses direct writes and blocks leaves a write to its deadline.
func TestDeadlineOfAWriteThatIsNotDirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ch, f, p := startDirect(t, peerWindow, peerMaxPacket)
		p.in.setLimit(-1)
		f.try = func() (ok, more bool, err error) { return false, false, nil }
		require.NoError(t, ch.SetWriteDeadline(time.Now().Add(time.Minute)))
		begin := time.Now()
		n, err := ch.Write(pattern(900_000))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Less(t, n, 600_000, "one batch and one queue")
		require.Equal(t, time.Minute, time.Since(begin))
		require.Len(t, f.direct, 1)
	})
}

// A write goes on with direct writes after a refusal, once the write loop is done.
func TestDirectWritesGoOnAfterARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ch, f, p := startDirect(t, 3*peerMaxPacket, peerMaxPacket)
		f.try = func() (bool, bool, error) {
			f.try = nil
			return false, false, nil
		}
		data := pattern(6 * peerMaxPacket)
		written := async(func() (int, error) { return ch.Write(data) })
		synctest.Wait()
		p.send(&adjustMsg{0, 1 << 20})
		require.Equal(t, data, received(p, len(data), peerMaxPacket))
		require.Equal(t, result[int]{len(data), nil}, <-written)
		require.Equal(t, []int{0, 3}, f.direct)
	})
}

// EOF and CLOSE that were queued while the transport refused the data are the end:
// the data does not follow them.
func TestNoDataBehindTheEndAfterARefusal(t *testing.T) {
	for name, end := range map[string]func(ch *connection.Channel) error{
		"EOF": (*connection.Channel).CloseWrite, "CLOSE": (*connection.Channel).Close,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, ch, f, p := startDirect(t, peerWindow, peerMaxPacket)
				f.try = func() (bool, bool, error) { return false, false, end(ch) }
				n, err := ch.Write(pattern(40_000))
				require.ErrorIs(t, err, net.ErrClosed)
				require.Zero(t, n)
				synctest.Wait()
				require.Equal(t, 1, p.in.length())
			})
		})
	}
}

func TestDirectWritesDoNotAllocate(t *testing.T) {
	c := connection.New(newMill(false), nil)
	defer c.Close()
	ch, err := c.OpenChannel(t.Context(), "session", nil, nil)
	require.NoError(t, err)
	data := make([]byte, 100_000)
	allocs := testing.AllocsPerRun(1000, func() {
		if _, err := ch.Write(data); err != nil {
			t.Fatal(err)
		}
	})
	require.Zero(t, allocs)
}
