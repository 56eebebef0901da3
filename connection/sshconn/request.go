package sshconn

import (
	"context"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
)

// maxRequests bounds the requests that wait to be received. Beyond the bound, reserved places
// are for the end of a command: an exit-status and an exit-signal.
const (
	maxRequests = 16
	reserved    = 2
)

// requestQueue has the requests of the peer about a channel, or about the
// connection, until they are received from out.
type requestQueue struct {
	out chan *ssh.Request

	mu     sync.Mutex // keeps sending and closing apart
	closed bool
}

func newRequestQueue() *requestQueue {
	return &requestQueue{out: make(chan *ssh.Request, maxRequests+reserved)}
}

// handle is the connection.RequestFunc of all requests: a refusal each time, and never a wait
// for the reader.
func (q *requestQueue) handle(_ context.Context, r *connection.Request) (reply []byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	limit := maxRequests
	if r.Name == "exit-status" || r.Name == "exit-signal" {
		limit = cap(q.out)
	}
	if !q.closed && len(q.out) < limit {
		q.out <- &ssh.Request{Type: r.Name, Payload: r.Payload}
	}
	return nil, false
}

// close ends the queue; queued requests can still be received.
func (q *requestQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	close(q.out)
}
