package connection_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
)

// server is a second implementation, of the server's side and as plain as can
// be: each channel runs the program that its type names, and any overrun of a
// window or of a packet size that it has granted ends everything.
type server struct {
	*end
	window, maxPacket int

	mu       sync.Mutex
	changed  sync.Cond
	channels map[uint32]*serverChannel
	err      error
}

type serverChannel struct {
	s          *server
	id, remote uint32
	maxPacket  int
	granted    int // what the client may still send
	window     int // what we may still send
	input      []byte
	eof        bool
}

// serve returns a connection to a new server.
func serve(tb testing.TB, config *connection.Config, window, maxPacket int) (*connection.Conn, *server) {
	ours, theirs := pipe()
	ours.out.setLimit(100_000) // both directions are of finite size, as in TCP
	theirs.out.setLimit(100_000)
	s := &server{end: theirs, window: window, maxPacket: maxPacket, channels: make(map[uint32]*serverChannel)}
	s.changed.L = &s.mu
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.run()
	}()
	c := connection.New(ours, config)
	tb.Cleanup(func() {
		_ = c.Close()
		_ = theirs.Close()
		<-done
		if !errors.Is(s.err, io.EOF) {
			tb.Error("server:", s.err)
		}
	})
	return c, s
}

func (s *server) run() {
	for {
		packet, err := s.ReadPacket()
		s.mu.Lock()
		if err == nil {
			err = s.handle(packet)
		}
		s.err = err
		s.changed.Broadcast()
		s.mu.Unlock()
		if err != nil {
			_ = s.Close()
			return
		}
	}
}

func (s *server) handle(packet []byte) error {
	if packet[0] == 90 {
		var m openMsg
		if err := ssh.Unmarshal(packet, &m); err != nil {
			return err
		}
		ch := &serverChannel{
			s: s, id: uint32(len(s.channels)), remote: m.Sender, maxPacket: int(m.MaxPacket),
			granted: s.window, window: int(m.Window),
		}
		s.channels[ch.id] = ch
		program := programs[m.Type]
		go func() {
			s.write(&confirmMsg{ch.remote, ch.id, uint32(s.window), uint32(s.maxPacket), nil})
			program(ch)
			s.write(&eofMsg{ch.remote})
			s.write(&closeMsg{ch.remote})
		}()
		return nil
	}
	var (
		adjust adjustMsg
		data   dataMsg
		eof    eofMsg
	)
	switch {
	case ssh.Unmarshal(packet, &adjust) == nil:
		s.channels[adjust.Recipient].window += int(adjust.Bytes)
	case ssh.Unmarshal(packet, &data) == nil:
		ch := s.channels[data.Recipient]
		ch.granted -= len(data.Data)
		if ch.eof || ch.granted < 0 || len(data.Data) > s.maxPacket {
			return errors.New("data that was not granted")
		}
		ch.input = append(ch.input, data.Data...)
	case ssh.Unmarshal(packet, &eof) == nil:
		s.channels[eof.Recipient].eof = true
	}
	return nil
}

func (s *server) write(m any) { _ = s.WritePacket(marshal(m)) }

// Read gives window back as it goes.
func (c *serverChannel) Read(p []byte) (int, error) {
	s := c.s
	s.mu.Lock()
	for len(c.input) == 0 && !c.eof && s.err == nil {
		s.changed.Wait()
	}
	n := copy(p, c.input)
	c.input = c.input[n:]
	c.granted += n
	err := s.err
	s.mu.Unlock()
	if n > 0 {
		s.write(&adjustMsg{c.remote, uint32(n)})
		return n, nil
	}
	if err == nil {
		err = io.EOF
	}
	return 0, err
}

func (c *serverChannel) send(p []byte, message func(data []byte) any) (n int, err error) {
	s := c.s
	for n < len(p) {
		s.mu.Lock()
		for c.window == 0 && s.err == nil {
			s.changed.Wait()
		}
		size := min(c.window, c.maxPacket, len(p)-n, 1+rand.IntN(c.maxPacket))
		c.window -= size
		err = s.err
		s.mu.Unlock()
		if err != nil {
			return n, err
		}
		s.write(message(p[n : n+size]))
		n += size
	}
	return n, nil
}

func (c *serverChannel) Write(p []byte) (int, error) {
	return c.send(p, func(data []byte) any { return &dataMsg{c.remote, data} })
}

const bulk = 4 << 20

var programs = map[string]func(c *serverChannel){
	"cat":  func(c *serverChannel) { _, _ = io.Copy(c, onlyReader{c}) },
	"bulk": func(c *serverChannel) { _, _ = c.Write(pattern(bulk)) },
	"bulk before reading": func(c *serverChannel) {
		_, _ = c.Write(pattern(bulk))
		_, _ = io.Copy(io.Discard, c)
	},
	"both streams": func(c *serverChannel) {
		for range 64 {
			_, _ = c.Write(pattern(bulk / 64))
			_, _ = c.send(pattern(bulk/64), func(data []byte) any { return &extendedMsg{c.remote, 1, data} })
		}
	},
	"one": func(c *serverChannel) { _, _ = c.Write([]byte("1")) },
}

type onlyReader struct{ io.Reader }

// pattern repeats with a period that is no multiple of any buffer's size.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i % 251)
	}
	return p
}

func openTo(tb testing.TB, c *connection.Conn, program string) *connection.Channel {
	tb.Helper()
	ch, err := c.OpenChannel(context.Background(), program, nil, nil)
	require.NoError(tb, err)
	return ch
}

// C17
func TestCatBothWays(t *testing.T) {
	for name, test := range map[string]struct {
		config            connection.Config
		window, maxPacket int
	}{
		"defaults":      {connection.Config{}, 2 << 20, 32 << 10},
		"small windows": {connection.Config{Window: 5000, MaxPacket: 700}, 3000, 999},
		"large packets": {connection.Config{MaxPacket: 128 << 10}, 1 << 20, 256 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := serve(t, &test.config, test.window, test.maxPacket)
			ch := openTo(t, c, "cat")
			written := call(func() error {
				_, err := ch.ReadFrom(bytes.NewReader(pattern(bulk)))
				return errors.Join(err, ch.CloseWrite())
			})
			got, err := io.ReadAll(ch)
			require.NoError(t, err)
			require.NoError(t, <-written)
			require.True(t, bytes.Equal(pattern(bulk), got))
			require.NoError(t, ch.Wait())
		})
	}
}

// C17
func TestPeerThatFloodsBeforeItReads(t *testing.T) {
	c, _ := serve(t, nil, 64<<10, 32<<10)
	ch := openTo(t, c, "bulk before reading")
	written := call(func() error {
		_, err := ch.Write(pattern(bulk))
		return errors.Join(err, ch.CloseWrite())
	})
	var got bytes.Buffer
	_, err := ch.WriteTo(&got)
	require.NoError(t, err)
	require.NoError(t, <-written)
	require.True(t, bytes.Equal(pattern(bulk), got.Bytes()))
}

// C17
func TestBothStreamsAtOnce(t *testing.T) {
	c, _ := serve(t, &connection.Config{Window: 64 << 10}, 64<<10, 32<<10)
	ch := openTo(t, c, "both streams")
	stderr := async(func() ([]byte, error) {
		var b bytes.Buffer
		_, err := io.Copy(&b, ch.Stderr())
		return b.Bytes(), err
	})
	stdout, err := io.ReadAll(ch)
	require.NoError(t, err)
	got := <-stderr
	require.NoError(t, got.err)
	want := bytes.Repeat(pattern(bulk/64), 64)
	require.True(t, bytes.Equal(want, stdout))
	require.True(t, bytes.Equal(want, got.value))
}

// C17
func TestClosedStderrDoesNotStallStdout(t *testing.T) {
	c, _ := serve(t, &connection.Config{Window: 64 << 10}, 64<<10, 32<<10)
	ch := openTo(t, c, "both streams")
	require.NoError(t, ch.Stderr().Close())
	n, err := io.Copy(io.Discard, ch)
	require.NoError(t, err)
	require.EqualValues(t, bulk, n)
}

// C18
func TestUnreadChannelDoesNotStallTheOthers(t *testing.T) {
	c, _ := serve(t, &connection.Config{Window: 256 << 10}, 64<<10, 32<<10)
	unread := openTo(t, c, "bulk")
	var others []<-chan result[int64]
	for range 9 {
		others = append(others, async(func() (int64, error) {
			ch, err := c.OpenChannel(context.Background(), "bulk", nil, nil)
			if err != nil {
				return 0, err
			}
			return ch.WriteTo(io.Discard)
		}))
	}
	for _, other := range others {
		require.Equal(t, result[int64]{bulk, nil}, <-other)
	}
	got, err := io.ReadAll(unread)
	require.NoError(t, err)
	require.True(t, bytes.Equal(pattern(bulk), got))
}

func TestThousandChannels(t *testing.T) {
	c, _ := serve(t, nil, 64<<10, 32<<10)
	var channels []*connection.Channel
	for range 1000 {
		channels = append(channels, openTo(t, c, "one"))
	}
	for _, ch := range channels {
		got, err := io.ReadAll(ch)
		require.NoError(t, err)
		require.Equal(t, "1", string(got))
		require.NoError(t, ch.Wait())
	}
}

// C1
func TestSmallPacketsDoNotCostMoreThanTheWindow(t *testing.T) {
	const window = 1 << 20
	c, p := start(t, &connection.Config{Window: window})
	_, id := p.open(c, nil)
	p.out.setLimit(100)
	memory := func() uint64 {
		runtime.GC()
		runtime.GC() // the second one empties the pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := memory()
	packet := marshal(&dataMsg{id, []byte("x")})
	for range window {
		p.send(packet)
	}
	for start := time.Now(); p.out.length() > 0 && time.Since(start) < 10*time.Second; runtime.Gosched() {
	}
	require.Less(t, memory(), before+window*3/2)
}

func benchmarkThroughput(b *testing.B, run func(b *testing.B, ours, theirs *connection.Channel)) {
	left, right := pipe()
	left.out.setLimit(1 << 20)
	right.out.setLimit(1 << 20)
	a, z := connection.New(left, nil), connection.New(right, nil)
	defer a.Close()
	defer z.Close()
	accepted := make(chan *connection.Channel, 1)
	z.HandleOpen("bench", func(_ context.Context, o *connection.Open) {
		ch, _ := o.Accept(nil)
		accepted <- ch
	})
	ours := openTo(b, a, "bench")
	run(b, ours, <-accepted)
}

func BenchmarkThroughput(b *testing.B) {
	for name, sink := range map[string]func(ch *connection.Channel) error{
		"Read": func(ch *connection.Channel) error {
			p := make([]byte, 32<<10)
			for {
				if _, err := ch.Read(p); err != nil {
					return err
				}
			}
		},
		"WriteTo": func(ch *connection.Channel) error { _, err := ch.WriteTo(onlyWriter{}); return err },
	} {
		b.Run(name, func(b *testing.B) {
			benchmarkThroughput(b, func(b *testing.B, ours, theirs *connection.Channel) {
				done := call(func() error { return sink(theirs) })
				p := make([]byte, 32<<10)
				b.SetBytes(int64(len(p)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := ours.Write(p); err != nil {
						b.Fatal(err)
					}
				}
				_ = ours.Close()
				<-done
			})
		})
	}
}

type onlyWriter struct{}

func (onlyWriter) Write(p []byte) (int, error) { return len(p), nil }
