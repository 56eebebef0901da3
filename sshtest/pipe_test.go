package sshtest_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
)

// fill writes until the pipe is full, and returns the number of bytes. The
// test must run in a bubble.
func fill(t *testing.T, c net.Conn) int {
	t.Helper()
	require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second)))
	n, err := c.Write(make([]byte, 1<<20))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.SetWriteDeadline(time.Time{}))
	return n
}

func TestPipeBothEndsStartByWriting(t *testing.T) {
	a, b := sshtest.Pipe()
	hello := bytes.Repeat([]byte("hello "), 1000)
	for _, c := range []net.Conn{a, b} {
		n, err := c.Write(hello)
		require.NoError(t, err)
		require.Equal(t, len(hello), n)
	}
	for _, c := range []net.Conn{a, b} {
		got := make([]byte, len(hello))
		_, err := io.ReadFull(c, got)
		require.NoError(t, err)
		require.Equal(t, hello, got)
	}
}

func TestPipeKeepsOrderAcrossTheRing(t *testing.T) {
	a, b := sshtest.Pipe()
	sent := make([]byte, 1<<20)
	for i := range sent {
		sent[i] = byte(i * 7 >> 3)
	}
	go func() {
		for rest := sent; len(rest) > 0; {
			n, _ := a.Write(rest[:min(len(rest), 7777)])
			rest = rest[n:]
		}
		a.Close()
	}()
	got, err := io.ReadAll(b)
	require.NoError(t, err)
	require.True(t, bytes.Equal(sent, got))
}

func TestPipeWriteBlocksWhileFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := sshtest.Pipe()
		size := fill(t, a)
		require.Equal(t, 64<<10, size)

		written := false
		go func() {
			a.Write([]byte("x"))
			written = true
		}()
		synctest.Wait()
		require.False(t, written)
		_, err := b.Read(make([]byte, 1))
		require.NoError(t, err)
		synctest.Wait()
		require.True(t, written)
	})
}

func TestPipeWritesDoNotMix(t *testing.T) {
	a, b := sshtest.Pipe()
	const size = 100_000 // more than the pipe holds
	var writers sync.WaitGroup
	for _, letter := range []byte("xy") {
		writers.Go(func() { a.Write(bytes.Repeat([]byte{letter}, size)) })
	}
	got := make([]byte, 2*size)
	_, err := io.ReadFull(b, got)
	require.NoError(t, err)
	writers.Wait()
	require.Equal(t, bytes.Repeat(got[:1], size), got[:size])
	require.Equal(t, bytes.Repeat(got[size:size+1], size), got[size:])
}

func TestPipeCloseLetsThePeerReadTheRest(t *testing.T) {
	a, b := sshtest.Pipe()
	_, err := a.Write([]byte("rest"))
	require.NoError(t, err)
	require.NoError(t, a.Close())

	got, err := io.ReadAll(b)
	require.NoError(t, err)
	require.Equal(t, "rest", string(got))
	_, err = b.Write([]byte("x"))
	require.ErrorIs(t, err, io.ErrClosedPipe)
	for _, f := range []func([]byte) (int, error){a.Read, a.Write} {
		_, err = f(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
	}
	require.ErrorIs(t, a.Close(), net.ErrClosed)
	require.ErrorIs(t, a.SetDeadline(time.Now()), net.ErrClosed)
}

func TestPipeCloseUnblocksBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := sshtest.Pipe()
		fill(t, a)
		errs := make([]error, 3)
		go func() { _, errs[0] = a.Read(make([]byte, 1)) }()
		go func() { _, errs[1] = a.Write(make([]byte, 1)) }()
		go func() {
			_, err := io.Copy(io.Discard, b)
			errs[2] = errors.Join(err, io.EOF)
		}()
		synctest.Wait()
		a.Close()
		synctest.Wait()
		require.ErrorIs(t, errs[0], net.ErrClosed)
		require.NoError(t, errs[1], "the reader at the other end made room for it")
		require.ErrorIs(t, errs[2], io.EOF)
	})
}

func TestPipeCloseUnblocksTheWriters(t *testing.T) {
	for name, who := range map[string]int{"OwnEnd": 0, "Peer": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := sshtest.Pipe()
				fill(t, a)
				var first, second error
				go func() { _, first = a.Write(make([]byte, 1)) }()
				go func() { _, second = a.Write(make([]byte, 1)) }()
				synctest.Wait()
				[]net.Conn{a, b}[who].Close()
				synctest.Wait()
				want := []error{net.ErrClosed, io.ErrClosedPipe}[who]
				require.ErrorIs(t, first, want)
				require.ErrorIs(t, second, want)
			})
		})
	}
}

func TestPipeCloseWriteLeavesTheOtherDirection(t *testing.T) {
	a, b := sshtest.Pipe()
	closeWrite(t, a)
	_, err := b.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	_, err = a.Write([]byte("x"))
	require.ErrorIs(t, err, io.ErrClosedPipe)

	_, err = b.Write([]byte("answer"))
	require.NoError(t, err)
	closeWrite(t, b)
	got, err := io.ReadAll(a)
	require.NoError(t, err)
	require.Equal(t, "answer", string(got))
	require.NoError(t, a.Close())
	_, err = a.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestPipeDeadline(t *testing.T) {
	operations := map[string]func(c net.Conn) error{
		"Read": func(c net.Conn) error {
			_, err := c.Read(make([]byte, 1))
			return err
		},
		"Write": func(c net.Conn) error {
			_, err := c.Write(make([]byte, 1<<20))
			return err
		},
	}
	for name, operation := range operations {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, _ := sshtest.Pipe()
				start := time.Now()
				require.NoError(t, a.SetDeadline(start.Add(24*time.Hour)))
				err := operation(a)
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				var netErr net.Error
				require.ErrorAs(t, err, &netErr)
				require.True(t, netErr.Timeout())
				require.Equal(t, 24*time.Hour, time.Since(start))

				require.NoError(t, a.SetDeadline(start), "in the past")
				require.ErrorIs(t, operation(a), os.ErrDeadlineExceeded)
			})
		})
	}
}

func TestPipeDeadlineThatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := sshtest.Pipe()
		start := time.Now()
		require.NoError(t, a.SetReadDeadline(start.Add(time.Hour)))
		took := make(chan time.Duration, 1)
		go func() {
			a.Read(make([]byte, 1))
			took <- time.Since(start)
		}()
		synctest.Wait()
		require.NoError(t, a.SetReadDeadline(start.Add(3*time.Hour)))
		require.Equal(t, 3*time.Hour, <-took)

		require.NoError(t, a.SetReadDeadline(time.Time{}))
		go b.Write([]byte("x"))
		_, err := a.Read(make([]byte, 1))
		require.NoError(t, err, "the deadline was lifted")
	})
}

func TestPipeAddresses(t *testing.T) {
	a, b := sshtest.Pipe()
	require.Equal(t, "127.0.0.1:22", a.RemoteAddr().String())
	require.Equal(t, a.RemoteAddr(), b.LocalAddr())
	require.Equal(t, a.LocalAddr(), b.RemoteAddr())
	require.Equal(t, "tcp", a.LocalAddr().Network())
}
