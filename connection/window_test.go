package connection_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
)

const (
	mega     = 1_000_000
	linkRate = 125 * mega // bytes a second
)

// way is an end of a pipe whose packets are delayed: by their size at the rate, and then by
// half of the round trip. A way counts the window granted by its packets.
type way struct {
	*end
	half    time.Duration
	granted atomic.Int64

	free time.Time // of the only writer: when the last packet has left
	line chan delayed
	once sync.Once
	done chan struct{}
}

type delayed struct {
	packet  []byte
	arrival time.Time
}

func newWay(e *end, rtt time.Duration) *way {
	w := &way{end: e, half: rtt / 2, line: make(chan delayed, 1<<16), done: make(chan struct{})}
	go w.deliver()
	return w
}

func (w *way) deliver() {
	for {
		select {
		case d := <-w.line:
			select {
			case <-time.After(time.Until(d.arrival)):
				_ = w.end.WritePacket(d.packet)
			case <-w.done:
			}
		case <-w.done:
			return
		}
	}
}

func (w *way) WritePacket(packet []byte) error {
	switch packet[0] {
	case 90:
		var m openMsg
		if err := ssh.Unmarshal(packet, &m); err != nil {
			return err
		}
		w.granted.Add(int64(m.Window))
	case 93:
		w.granted.Add(int64(binary.BigEndian.Uint32(packet[5:])))
	}
	if now := time.Now(); w.free.Before(now) {
		w.free = now
	}
	w.free = w.free.Add(time.Duration(len(packet)) * time.Second / linkRate)
	select {
	case <-time.After(time.Until(w.free)):
	case <-w.done:
	}
	select {
	case w.line <- delayed{bytes.Clone(packet), w.free.Add(w.half)}:
		return nil
	case <-w.done:
		return net.ErrClosed
	}
}

func (w *way) Close() error {
	w.once.Do(func() { close(w.done) })
	return w.end.Close()
}

// flow is a channel whose peer sends without end over a link.
type flow struct {
	t  *testing.T
	ch *connection.Channel
	up *way // has our packets

	read int64
}

func startFlow(t *testing.T, rtt time.Duration, config *connection.Config) *flow {
	a, b := pipe()
	f := &flow{t: t, up: newWay(a, rtt)}
	server := connection.New(newWay(b, rtt), nil)
	server.HandleOpen("", func(_ context.Context, o *connection.Open) {
		if ch, err := o.Accept(nil); err == nil {
			_, _ = io.Copy(ch, neverEnding{})
		}
	})
	c := connection.New(f.up, config)
	t.Cleanup(func() {
		_ = c.Close()
		_ = server.Close()
	})
	var err error
	f.ch, err = c.OpenChannel(t.Context(), "x", nil, nil)
	require.NoError(t, err)
	return f
}

// drain reads as fast as data comes, and returns the bytes a second.
func (f *flow) drain(d time.Duration) float64 {
	f.t.Helper()
	begin, before := time.Now(), f.read
	for time.Since(begin) < d {
		f.sip(256 << 10)
	}
	return float64(f.read-before) / time.Since(begin).Seconds()
}

// sip reads n bytes.
func (f *flow) sip(n int64) {
	f.t.Helper()
	got, err := io.CopyN(io.Discard, f.ch, n)
	require.NoError(f.t, err)
	f.read += got
}

// open returns the bytes granted to the peer or not read by the program.
func (f *flow) open() int {
	synctest.Wait()
	return int(f.up.granted.Load() - f.read)
}

func TestWindowGrowsToFillALongWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFlow(t, 100*time.Millisecond, nil)
		require.Less(t, f.drain(100*time.Millisecond), 0.5*linkRate)
		f.drain(900 * time.Millisecond)
		require.GreaterOrEqual(t, f.drain(time.Second), 0.9*linkRate)
		require.LessOrEqual(t, f.open(), 15<<20)
	})
}

func TestWindowGrowsNoFurtherThanItMay(t *testing.T) {
	for name, test := range map[string]struct{ window, most, largest int }{
		"cap":           {1 << 20, 5 << 20, 5 << 20},
		"no growth":     {1 << 20, -1, 1 << 20},
		"less growth":   {3 << 20, 2 << 20, 3 << 20},
		"beyond 15 MiB": {0, 1 << 30, 32 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := startFlow(t, 100*time.Millisecond, &connection.Config{Window: test.window, MaxWindow: test.most})
				f.drain(1500 * time.Millisecond)
				require.LessOrEqual(t, f.open(), test.largest)
				require.Greater(t, f.open(), test.largest*7/8)
			})
		})
	}
}

// Over a short way every window is large enough. Where the window does not limit the rate, a
// larger window is tried once.
func TestWindowGrowsNoMoreThanItPays(t *testing.T) {
	for name, test := range map[string]struct {
		rtt     time.Duration
		largest int
	}{
		"short way":    {20 * time.Microsecond, 4 << 20},
		"wide window":  {10 * time.Millisecond, 4 << 20},
		"window of 4M": {30 * time.Millisecond, 8 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := startFlow(t, test.rtt, nil)
				f.drain(500 * time.Millisecond)
				require.LessOrEqual(t, f.open(), test.largest)
				require.GreaterOrEqual(t, f.drain(250*time.Millisecond), 0.9*linkRate)
			})
		})
	}
}

// C20: a slow reader keeps the first window.
func TestSlowReaderKeepsTheFirstWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFlow(t, 100*time.Millisecond, nil)
		for range 200 {
			f.sip(100 << 10)
			require.LessOrEqual(t, f.open(), 2<<20)
			time.Sleep(50 * time.Millisecond)
		}
		require.Greater(t, f.open(), 2<<20*7/8)
	})
}

// C20: a reader that becomes slow gets the first window again.
func TestReaderThatBecomesSlowGetsTheFirstWindowAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFlow(t, 100*time.Millisecond, nil)
		f.drain(time.Second)
		grown := f.open()
		require.Greater(t, grown, 12<<20)
		time.Sleep(time.Minute)
		require.Equal(t, grown, f.open(), "nothing was read")

		granted := f.up.granted.Load()
		for f.open() > 2<<20 {
			require.Equal(t, granted, f.up.granted.Load(), "window is given to a slow reader")
			f.sip(100 << 10)
			time.Sleep(10 * time.Millisecond)
		}
		for range 100 {
			f.sip(100 << 10)
			require.LessOrEqual(t, f.open(), 2<<20)
			time.Sleep(50 * time.Millisecond)
		}

		f.drain(time.Second) // and grows again with a fast reader
		require.GreaterOrEqual(t, f.drain(500*time.Millisecond), 0.9*linkRate)
	})
}

// A source that trickles has no use for a larger window.
func TestSlowSourceKeepsTheFirstWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, &connection.Config{Window: 800})
		ch, id := p.open(c, nil)
		go func() { _, _ = io.Copy(io.Discard, ch) }()
		outstanding := 800
		for range 100 {
			time.Sleep(time.Second)
			p.send(&dataMsg{id, make([]byte, 100)})
			outstanding += int(expect[adjustMsg](p).Bytes) - 100
			require.Equal(t, 800, outstanding)
		}
	})
}

func TestReadGivesWindowBackForWhatWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, &connection.Config{Window: 800, MaxPacket: 400})
		ch, id := p.open(c, nil)
		p.send(&dataMsg{id, bytes.Repeat([]byte("o"), 400)}, &extendedMsg{id, 1, bytes.Repeat([]byte("e"), 400)})
		synctest.Wait()
		p.quiet()
		buf := make([]byte, 99)
		_, err := io.ReadFull(ch, buf)
		require.NoError(t, err)
		synctest.Wait()
		p.quiet()
		_, err = io.ReadFull(ch.Stderr(), buf[:1])
		require.NoError(t, err)
		require.Equal(t, adjustMsg{id + 1000, 100}, expect[adjustMsg](p))
		p.send(&dataMsg{id, bytes.Repeat([]byte("p"), 100)})
		synctest.Wait()
		buf = make([]byte, 401)
		_, err = io.ReadFull(ch, buf)
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("o", 301)+strings.Repeat("p", 100), string(buf))
		require.Equal(t, adjustMsg{id + 1000, 401}, expect[adjustMsg](p))
	})
}

// C9: discarded data gives window back.
func TestWhatNobodyReadsGivesWindowBack(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(ch *connection.Channel) error
		data    func(id uint32, data []byte) any
	}{
		"unknown extended type": {
			func(*connection.Channel) error { return nil },
			func(id uint32, data []byte) any { return &extendedMsg{id, 1<<32 - 1, data} },
		},
		"extended type 0": {
			func(*connection.Channel) error { return nil },
			func(id uint32, data []byte) any { return &extendedMsg{id, 0, data} },
		},
		"stdout closed for reading": {
			(*connection.Channel).CloseRead,
			func(id uint32, data []byte) any { return &dataMsg{id, data} },
		},
		"stderr closed for reading": {
			func(ch *connection.Channel) error { return ch.Stderr().Close() },
			func(id uint32, data []byte) any { return &extendedMsg{id, 1, data} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t, &connection.Config{Window: 800})
				ch, id := p.open(c, nil)
				require.NoError(t, test.prepare(ch))
				for range 1000 {
					p.send(test.data(id, make([]byte, 100)))
					require.Equal(t, adjustMsg{id + 1000, 100}, expect[adjustMsg](p))
				}
			})
		})
	}
}

// C4: many small adjustments of the window add up.
func TestManySmallAdjustments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.openWith(c, nil, 0, 1<<20)
		for range 100_000 {
			p.send(&adjustMsg{id, 1})
		}
		synctest.Wait()
		n, err := ch.Write(make([]byte, 100_000))
		require.NoError(t, err)
		require.Equal(t, 100_000, n)
	})
}

// C4: nobody has any use for window after our EOF or CLOSE.
func TestAdjustmentsAfterTheEndAreIgnored(t *testing.T) {
	c, p := start(t, nil)
	ch, id := p.open(c, nil)
	require.NoError(t, ch.CloseWrite())
	expect[eofMsg](p)
	twice := []any{&adjustMsg{id, 1<<32 - 1}, &adjustMsg{id, 1<<32 - 1}}
	alive := func() {
		p.send(append(twice, &globalRequestMsg{"x@example.com", true, nil})...)
		expect[requestFailureMsg](p)
	}
	alive()
	require.NoError(t, ch.Close())
	expect[closeMsg](p)
	alive()
	p.send(&closeMsg{id})
	alive()
}

// Data after EOF is lost, but must not stop a peer that sends all its data before closing the
// channel, as Twisted Conch does.
func TestDataAfterEOFIsGivenBackAsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, &connection.Config{Window: 200, MaxPacket: 100})
		ch, id := p.openWith(c, nil, 0, 100)
		p.send(fill(id), &eofMsg{id})
		got, err := io.ReadAll(ch)
		require.NoError(t, err)
		require.Len(t, got, 100)
		window := uint32(100)
		for range 20 {
			for window < 100 {
				window += expect[adjustMsg](p).Bytes
			}
			p.send(fill(id))
			window -= 100
		}
		p.send(&closeMsg{id})
		require.ErrorAs(t, ch.Wait(), new(*connection.ProtocolError), "some of the data was lost")
	})
}
