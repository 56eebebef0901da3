package packetio

import (
	"net"
	"os"
	"syscall"
)

// socketWriter writes to a socket as much as there is room for.
type socketWriter struct {
	raw    syscall.RawConn       // nil if the connection below is no socket
	send   func(fd uintptr) bool // bound once, so that no write allocates
	data   []byte                // its argument
	sent   int                   // its results
	failed error
}

func (s *socketWriter) init(c net.Conn) {
	if s.raw = rawSocket(c); s.raw != nil {
		s.send = s.trySend
	}
}

// trySend ends the write in any case, so raw never waits.
func (s *socketWriter) trySend(fd uintptr) bool {
	s.sent, s.failed = writeNow(fd, s.data)
	return true
}

// write returns how much of data could be sent.
func (s *socketWriter) write(data []byte) (int, error) {
	s.data, s.sent, s.failed = data, 0, nil
	err := s.raw.Write(s.send)
	if err == nil {
		err = s.failed
	}
	s.data = nil
	return s.sent, err
}

// socketError makes an error of a raw socket the error that net.Conn itself would
// have returned.
func socketError(c net.Conn, op string, err error) error {
	switch e := err.(type) {
	case *net.OpError:
		e.Op = op // not "raw-read"
	case syscall.Errno:
		local := c.LocalAddr()
		return &net.OpError{
			Op: op, Net: local.Network(), Source: local, Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, e),
		}
	}
	return err
}
