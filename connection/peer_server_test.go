package connection_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
)

// server is a second implementation, of the server's side and as plain as possible: each
// channel runs the program named by its type, and any overrun of a granted window or packet
// size ends everything.
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
	granted    int // bytes that the client may still send
	window     int // bytes that we may still send
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

// Read gives window back at once.
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

// pattern returns bytes with a period that is no multiple of any buffer's size.
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
