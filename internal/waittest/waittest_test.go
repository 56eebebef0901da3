package waittest_test

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/internal/waittest"
	"github.com/nacre-ssh/nacre/sshtest"
)

func TestMain(m *testing.M) { sshtest.Main(m) }

// A Read of a Pipe, and a plain wait for a context, end in all their ways.
func TestRun(t *testing.T) {
	waittest.Run(t, waittest.Calls{
		"Read": func(t *testing.T) waittest.Blocked {
			client, server := sshtest.Pipe()
			t.Cleanup(func() {
				client.Close()
				server.Close()
			})
			return waittest.Blocked{
				Do: func(context.Context) error {
					_, err := client.Read(make([]byte, 1))
					return err
				},
				Ends: []waittest.End{
					waittest.Deadline(client.SetReadDeadline, os.ErrDeadlineExceeded),
					{Name: "Close", By: func() { client.Close() }, Want: []error{net.ErrClosed}},
					{Name: "hangup", By: func() { server.Close() }, Want: []error{io.EOF}},
					{Name: "data", By: func() { _, _ = server.Write([]byte{0}) }},
				},
			}
		},
		"context": func(t *testing.T) waittest.Blocked {
			return waittest.Blocked{
				Context: true,
				Do: func(ctx context.Context) error {
					<-ctx.Done()
					return ctxerr.Of(ctx)
				},
			}
		},
		"slow end": func(t *testing.T) waittest.Blocked {
			over := make(chan bool)
			return waittest.Blocked{
				Do: func(context.Context) error { <-over; return nil },
				Ends: []waittest.End{{
					Name: "late", After: time.Second, Within: time.Second,
					By: func() { time.Sleep(1500 * time.Millisecond); close(over) },
				}},
			}
		},
	})
}

func TestCollected(t *testing.T) {
	require.True(t, waittest.Collected(weak.Make(new([1 << 10]byte))))
}
