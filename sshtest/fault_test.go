package sshtest_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
)

const alphabet = "abcdefghijklmnopqrstuvwxyz"

// faulty returns the client's end of a connection with faults, and the
// server's, in memory.
func faulty(t *testing.T, f sshtest.Faults) (*sshtest.FaultConn, net.Conn) {
	client, server := sshtest.Pipe()
	c := f.Conn(client)
	t.Cleanup(func() {
		c.Close()
		server.Close()
	})
	return c, server
}

// both runs a fault in each direction. The test writes to
// the first connection, and reads from the second.
func both(t *testing.T, f sshtest.Fault, test func(t *testing.T, w, r net.Conn)) {
	for name, out := range map[string]bool{"in": false, "out": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if out {
					c, server := faulty(t, sshtest.Faults{Out: f})
					test(t, c, server)
					return
				}
				c, server := faulty(t, sshtest.Faults{In: f})
				test(t, server, c)
			})
		})
	}
}

func TestFaultsChangeWhatTheySay(t *testing.T) {
	for name, test := range map[string]struct {
		fault sshtest.Fault
		want  string
	}{
		"none":                   {sshtest.Fault{}, alphabet},
		"one byte at a time":     {sshtest.Fault{Chunk: 1}, alphabet},
		"flip of the first":      {sshtest.Fault{Kind: sshtest.Flip}, "`" + alphabet[1:]},
		"flip of the third":      {sshtest.Fault{Kind: sshtest.Flip, After: 2}, "abb" + alphabet[3:]},
		"flip of the last":       {sshtest.Fault{Kind: sshtest.Flip, After: 25, Chunk: 4}, alphabet[:25] + "{"},
		"flip that never comes":  {sshtest.Fault{Kind: sshtest.Flip, After: 26}, alphabet},
		"swap of two bytes":      {sshtest.Fault{Kind: sshtest.Swap, After: 1}, "acb" + alphabet[3:]},
		"swap of two chunks":     {sshtest.Fault{Kind: sshtest.Swap, Chunk: 3}, "defabc" + alphabet[6:]},
		"swap at the end":        {sshtest.Fault{Kind: sshtest.Swap, Chunk: 13}, alphabet[13:] + alphabet[:13]},
		"cut":                    {sshtest.Fault{Kind: sshtest.Cut, After: 7}, alphabet[:7]},
		"cut of everything":      {sshtest.Fault{Kind: sshtest.Cut}, ""},
		"cut that is at the end": {sshtest.Fault{Kind: sshtest.Cut, After: 26, Chunk: 5}, alphabet},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, test.fault, func(t *testing.T, w, r net.Conn) {
				for i := 0; i < len(alphabet); i += 2 {
					n, err := io.WriteString(w, alphabet[i:i+2])
					if err != nil {
						require.ErrorIs(t, err, syscall.EPIPE)
						require.Equal(t, sshtest.Cut, test.fault.Kind)
						require.Equal(t, max(len(test.want)-i, 0), n)
						break
					}
				}
				closeWrite(t, w)
				got, err := io.ReadAll(r)
				require.NoError(t, err)
				require.Equal(t, test.want, string(got))
			})
		})
	}
}

func TestChunksBoundEachRead(t *testing.T) {
	both(t, sshtest.Fault{Chunk: 1}, func(t *testing.T, w, r net.Conn) {
		if _, ok := r.(*sshtest.FaultConn); !ok {
			return // the far end may read fewer bytes at once
		}
		_, err := io.WriteString(w, alphabet)
		require.NoError(t, err)
		for range alphabet {
			n, err := r.Read(make([]byte, 100))
			require.NoError(t, err)
			require.Equal(t, 1, n)
		}
	})
}

func TestDripTakesItsTime(t *testing.T) {
	both(t, sshtest.Fault{Chunk: 2, Every: time.Minute}, func(t *testing.T, w, r net.Conn) {
		start := time.Now()
		go func() {
			_, _ = io.WriteString(w, alphabet)
		}()
		buf := make([]byte, 2)
		for i := range 13 {
			_, err := io.ReadFull(r, buf)
			require.NoError(t, err)
			require.Equal(t, alphabet[2*i:2*i+2], string(buf))
			require.Equal(t, time.Duration(i+1)*time.Minute, time.Since(start))
		}
	})
}

func TestResetEndsBothDirections(t *testing.T) {
	both(t, sshtest.Fault{Kind: sshtest.Reset, After: 5}, func(t *testing.T, w, r net.Conn) {
		_, err := io.WriteString(w, alphabet)
		_, out := w.(*sshtest.FaultConn)
		if out {
			require.ErrorIs(t, err, syscall.ECONNRESET)
		} else {
			require.NoError(t, err)
		}
		got, err := io.ReadAll(r)
		require.Equal(t, alphabet[:5], string(got))
		c := w
		if !out {
			require.ErrorIs(t, err, syscall.ECONNRESET)
			c = r
		}
		_, err = c.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.NoError(t, c.Close())
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestResetOverTCPReachesTheServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	server, err := l.Accept()
	require.NoError(t, err)
	defer server.Close()
	c := sshtest.Faults{Out: sshtest.Fault{Kind: sshtest.Reset, After: 3}}.Conn(dialed)
	defer c.Close()
	n, err := c.Write([]byte("word"))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.Equal(t, 3, n)
	_, err = io.ReadAll(server)
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

// waits are calls with no answer from a stalled connection.
var waits = map[string]func(c net.Conn) error{
	"Read":  func(c net.Conn) error { _, err := io.ReadAll(c); return err },
	"Write": func(c net.Conn) error { _, err := c.Write(make([]byte, 100)); return err },
}

func TestStalledConnectionKeepsDeadlinesAndClose(t *testing.T) {
	stall := sshtest.Fault{Kind: sshtest.Stall, After: 3}
	for name, wait := range waits {
		for end, test := range map[string]struct {
			end func(c *sshtest.FaultConn) error
			err error
		}{
			"deadline":        {func(c *sshtest.FaultConn) error { return c.SetDeadline(time.Now().Add(time.Hour)) }, os.ErrDeadlineExceeded},
			"passed deadline": {func(c *sshtest.FaultConn) error { return c.SetDeadline(time.Now()) }, os.ErrDeadlineExceeded},
			"closed":          {(*sshtest.FaultConn).Close, net.ErrClosed},
			"reset": {func(c *sshtest.FaultConn) error {
				c.Break(sshtest.Faults{In: sshtest.Fault{Kind: sshtest.Reset}})
				return nil
			}, syscall.ECONNRESET},
			"deadline changed": {func(c *sshtest.FaultConn) error {
				return errors.Join(c.SetDeadline(time.Time{}), c.SetDeadline(time.Now().Add(time.Second)))
			}, os.ErrDeadlineExceeded},
		} {
			t.Run(name+", "+end, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, server := faulty(t, sshtest.Faults{In: stall, Out: stall})
					_, err := io.WriteString(server, alphabet)
					require.NoError(t, err)
					done := make(chan error, 2)
					for range 2 { // Read behind Read
						go func() { done <- wait(c) }()
					}
					synctest.Wait()
					require.Empty(t, done)
					require.NoError(t, test.end(c))
					require.ErrorIs(t, <-done, test.err)
					require.ErrorIs(t, <-done, test.err)
				})
			})
		}
	}
}

// Deadlines and Close are those of any connection when nothing is the matter.
func TestWaitingConnectionKeepsDeadlinesAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := faulty(t, sshtest.Faults{})
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Second)))
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, c.SetReadDeadline(time.Time{}))
		_, err = server.Write([]byte("x"))
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		require.NoError(t, err)
		time.AfterFunc(time.Second, func() { c.Close() })
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, c.Close(), net.ErrClosed)
		require.ErrorIs(t, c.SetDeadline(time.Time{}), net.ErrClosed)
	})
}

func TestLostWritesSucceed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := faulty(t, sshtest.Faults{
			In: sshtest.Fault{Kind: sshtest.Stall}, Out: sshtest.Fault{Kind: sshtest.Lose, After: 2},
		})
		for range 3 {
			n, err := c.Write(make([]byte, 1<<20))
			require.NoError(t, err)
			require.Equal(t, 1<<20, n)
		}
		require.NoError(t, c.CloseWrite())
		require.NoError(t, server.SetReadDeadline(time.Now().Add(time.Hour)))
		got, err := io.ReadAll(server)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "no end of file gets through either")
		require.Len(t, got, 2)
	})
}

// The cable is cut, or mended, while somebody waits for the server.
func TestBreakReachesCallsThatWait(t *testing.T) {
	for kind, want := range map[sshtest.FaultKind]error{sshtest.Cut: nil, sshtest.Reset: syscall.ECONNRESET, sshtest.Stall: os.ErrDeadlineExceeded} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, server := faulty(t, sshtest.Faults{})
				require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
				done := make(chan error, 1)
				go func() { _, err := io.ReadAll(c); done <- err }()
				synctest.Wait()
				c.Break(sshtest.Faults{In: sshtest.Fault{Kind: kind}})
				synctest.Wait()
				_, _ = server.Write([]byte("too late"))
				require.ErrorIs(t, <-done, want)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c, server := faulty(t, sshtest.Faults{Out: sshtest.Fault{Kind: sshtest.Stall}})
		start := time.Now()
		time.AfterFunc(time.Hour, func() { c.Break(sshtest.Faults{}) })
		_, err := io.WriteString(c, alphabet)
		require.NoError(t, err)
		require.Equal(t, time.Hour, time.Since(start))
		require.NoError(t, c.CloseWrite())
		got, err := io.ReadAll(server)
		require.NoError(t, err)
		require.Equal(t, alphabet, string(got))
	})
}

func TestFaultsOverALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sshtest.Pipe()
		defer server.Close()
		link := sshtest.Link{RTT: time.Second}
		c := sshtest.Faults{In: sshtest.Fault{Kind: sshtest.Flip, After: 1}}.Conn(link.Conn(client))
		defer c.Close()
		start := time.Now()
		_, err := io.WriteString(server, "ab")
		require.NoError(t, err)
		got := make([]byte, 2)
		_, err = io.ReadFull(c, got)
		require.NoError(t, err)
		require.Equal(t, "ac", string(got))
		require.Equal(t, time.Second, time.Since(start))
	})
}
