package connection_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
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

// way is an end of a pipe from which packets take their time, as long as their
// size asks at the rate, and then half of the round trip. It counts the window
// that they grant.
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

// open is what the peer has been granted and the program has not read.
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

// Over a short way no window is too small, and where the window is not what
// limits the rate a larger one is tried once.
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

// C20
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

// C20
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

		f.drain(time.Second) // and grows again when it is fast again
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

// What a read that waits gets at once, what lies behind it and what the next
// reads get make up the stream, and all of it gives window back.
func TestReadsThatWaitLoseNothing(t *testing.T) {
	for _, size := range []int{1, 3, 7, 50, 1000} {
		synctest.Test(t, func(t *testing.T) {
			c, p := start(t, &connection.Config{Window: 80})
			ch, id := p.open(c, nil)
			var got []byte
			done := call(func() error {
				buf := make([]byte, size)
				for {
					n, err := ch.Read(buf)
					got = append(got, buf[:n]...)
					if err != nil {
						return err
					}
				}
			})
			var want []byte
			outstanding := 80
			for i := range 200 {
				if i%3 == 0 {
					synctest.Wait()
				}
				for p.in.length() > 0 {
					outstanding += int(expect[adjustMsg](p).Bytes)
				}
				data := bytes.Repeat([]byte{byte(i)}, min(i%11, outstanding))
				p.send(&dataMsg{id, data})
				want = append(want, data...)
				outstanding -= len(data)
			}
			p.send(&eofMsg{id})
			require.Equal(t, io.EOF, <-done)
			require.Equal(t, want, got)
		})
	}
}

// Of several reads that wait each gets what comes, and none twice.
func TestSeveralReadsThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		reads := make(chan string, 10)
		for range 3 {
			go func() {
				buf := make([]byte, 2)
				n, _ := ch.Read(buf)
				reads <- string(buf[:n])
			}()
		}
		synctest.Wait()
		p.send(&dataMsg{id, []byte("aabbcc")})
		synctest.Wait()
		require.ElementsMatch(t, []string{"aa", "bb", "cc"}, []string{<-reads, <-reads, <-reads})
	})
}

// Data that has reached a read is not lost to a deadline that passes before it
// returns.
func TestReadThatWaitsAndItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		var got []byte
		var sends sync.WaitGroup
		for i := range 100 {
			require.NoError(t, ch.SetReadDeadline(time.Now().Add(time.Second)))
			sends.Go(func() {
				time.Sleep(time.Second)
				_ = p.WritePacket(marshal(&dataMsg{id, []byte{byte(i)}}))
			})
			buf := make([]byte, 10)
			n, _ := ch.Read(buf)
			got = append(got, buf[:n]...)
		}
		require.NoError(t, ch.SetReadDeadline(time.Time{}))
		sends.Wait()
		p.send(&eofMsg{id})
		rest, err := io.ReadAll(ch)
		require.NoError(t, err)
		require.Len(t, append(got, rest...), 100)
	})
}
