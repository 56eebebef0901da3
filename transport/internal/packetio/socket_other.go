//go:build !unix

package packetio

import (
	"net"
	"syscall"
)

// rawSocket returns nil: sockets are used like any other connection.
func rawSocket(net.Conn) syscall.RawConn { return nil }

// readNow is never called, because there is no raw socket.
func readNow(uintptr, []byte) (n int, again bool, err error) { return 0, false, syscall.EINVAL }

// writeNow is never called either.
func writeNow(uintptr, []byte) (n int, err error) { return 0, syscall.EINVAL }
