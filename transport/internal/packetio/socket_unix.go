//go:build unix

package packetio

import (
	"io"
	"net"
	"syscall"
)

// rawSocket returns the socket below c, or nil if c is something else. A type that
// embeds a socket may have a Read of its own, so the types are named.
func rawSocket(c net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	var err error
	switch s := c.(type) {
	case *net.TCPConn:
		raw, err = s.SyscallConn()
	case *net.UnixConn:
		raw, err = s.SyscallConn()
	}
	if err != nil {
		return nil // Read will say why
	}
	return raw
}

// readNow reads as much as there is. again is true if there is nothing yet.
func readNow(fd uintptr, p []byte) (n int, again bool, err error) {
	for {
		n, err = syscall.Read(int(fd), p)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return 0, true, nil
		case err != nil:
			return 0, false, err
		case n == 0:
			return 0, false, io.EOF
		}
		return n, false, nil
	}
}

// writeNow writes as much as there is room for, perhaps nothing.
func writeNow(fd uintptr, p []byte) (n int, err error) {
	for {
		n, err = syscall.Write(int(fd), p)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return 0, nil
		}
		return max(n, 0), err
	}
}
