package connection

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

// Pending is a request of ours on its way.
type Pending struct {
	name  string
	done  chan struct{}
	reply []byte // valid after done, like err
	err   error
}

func newPending(name string) *Pending {
	return &Pending{name: name, done: make(chan struct{})}
}

func (p *Pending) finish(reply []byte, err error) {
	p.reply, p.err = reply, err
	close(p.done)
}

// Wait blocks until the request is answered, and returns the data in the answer to a global
// request. A refusal is a [*RequestError]. When ctx ends first, Wait returns the errors of ctx;
// the answer is still expected, and may be waited for again. Without want-reply Wait returns nil
// at once.
func (p *Pending) Wait(ctx context.Context) (reply []byte, err error) {
	select {
	case <-p.done:
		return p.reply, p.err
	default:
	}
	select {
	case <-p.done:
		return p.reply, p.err
	case <-ctx.Done():
		return nil, ctxerr.Of(ctx)
	}
}

// replyQueue has the requests that await an answer of the peer, in the order of sending: only
// the order tells which request an answer belongs to, RFC 4254 section 4. An abandoned request
// stays in the queue and takes its answer. The outbox's mu guards the queue.
type replyQueue struct {
	slots []*Pending
}

func (q *replyQueue) push(p *Pending) { q.slots = append(q.slots, p) }

// pop returns nil for an answer to nothing.
func (q *replyQueue) pop() *Pending {
	if len(q.slots) == 0 {
		return nil
	}
	p := q.slots[0]
	q.slots[0] = nil
	q.slots = q.slots[1:]
	return p
}

// fail is the end of the queue.
func (q *replyQueue) fail(err error) {
	for _, p := range q.slots {
		p.finish(nil, err)
	}
	q.slots = nil
}

// SendRequest sends a global request, RFC 4254 section 4, and returns without waiting for the
// answer, so that several requests can be under way. SendRequest waits only while very much is
// queued to be written; the end of ctx ends the wait, and the request is not sent then. More
// than 1024 unanswered requests are an error, as is a request of more than 255 KiB.
func (c *Conn) SendRequest(ctx context.Context, name string, wantReply bool, payload []byte) (*Pending, error) {
	packet := ssh.Marshal(&globalRequestMsg{Name: name, WantReply: wantReply, Payload: payload})
	return c.out.sendRequest(ctx, nil, &c.out.replies, name, wantReply, packet)
}

// Request sends a global request and waits for the answer. A refusal is a [*RequestError]. When
// ctx ends first, Request returns the errors of ctx, and a late answer is dropped.
func (c *Conn) Request(ctx context.Context, name string, payload []byte) (reply []byte, err error) {
	p, err := c.SendRequest(ctx, name, true, payload)
	if err != nil {
		return nil, err
	}
	return p.Wait(ctx)
}

// SendRequest sends a request about the channel, RFC 4254 section 5.4, as [Conn.SendRequest]
// does.
func (c *Channel) SendRequest(ctx context.Context, name string, wantReply bool, payload []byte) (*Pending, error) {
	packet := ssh.Marshal(&channelRequestMsg{
		Recipient: c.remote, // does not change once the program has the channel
		Name:      name,
		WantReply: wantReply,
		Payload:   payload,
	})
	return c.conn.out.sendRequest(ctx, c, &c.replies, name, wantReply, packet)
}

// Request sends a request about the channel and waits for the answer, as [Conn.Request] does.
func (c *Channel) Request(ctx context.Context, name string, payload []byte) error {
	p, err := c.SendRequest(ctx, name, true, payload)
	if err != nil {
		return err
	}
	_, err = p.Wait(ctx)
	return err
}

// sendRequest queues a request together with the slot for its answer.
func (o *outbox) sendRequest(
	ctx context.Context, ch *Channel, replies *replyQueue, name string, wantReply bool, packet []byte,
) (*Pending, error) {
	if len(packet) > maxMessage {
		return nil, fmt.Errorf("connection: request of %d bytes is longer than %d", len(packet), maxMessage)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.awaitRoom(ctx, ch); err != nil {
		return nil, err
	}
	p := newPending(name)
	switch {
	case !wantReply:
		p.finish(nil, nil)
	case len(replies.slots) >= maxPending:
		return nil, errPending
	default:
		replies.push(p)
	}
	o.pushPacket(packet)
	return p, nil
}

// receiveReply gives an answer to the oldest request. An answer to nothing is dropped.
func (o *outbox) receiveReply(replies *replyQueue, ok bool, payload []byte) {
	o.mu.Lock()
	p := replies.pop()
	o.mu.Unlock()
	switch {
	case p == nil:
	case ok:
		p.finish(slices.Clone(payload), nil)
	default:
		p.finish(nil, &RequestError{Name: p.name})
	}
}

// Request is a request of the peer. The handler owns its Request.
type Request struct {
	Name      string
	WantReply bool
	Payload   []byte

	conn *Conn
}

// Conn returns the connection of the request, or of the request's channel. A handler in a
// [Config] learns its connection here.
func (r *Request) Conn() *Conn { return r.conn }

// RequestFunc answers a request of the peer. The answer is sent if the request wants a reply;
// the reply's data is sent only for a granted global request, and bounded as in a request.
// Handlers are called in order, without overlap, for each channel, and likewise for the global
// requests of a connection. Handlers may take their time: up to 64 requests wait, and further
// requests are refused. Requests that arrived before the end of the channel or connection are
// still handled. ctx ends with the connection.
type RequestFunc func(ctx context.Context, r *Request) (reply []byte, ok bool)

// HandleRequest makes h answer global requests of the given name; "" stands for all names without
// a handler. A newer handler comes before an older handler, until remove is called. Requests
// without a handler are refused.
func (c *Conn) HandleRequest(name string, h RequestFunc) (remove func()) {
	return addHandler(&c.mu, &c.requestHandlers, name, &h)
}

// addHandlers adds the handlers of the Config, before the read loop starts.
func (c *Conn) addHandlers() {
	for typ, h := range c.config.HandleOpen {
		if h != nil {
			c.HandleOpen(typ, h)
		}
	}
	for name, h := range c.config.HandleRequest {
		if h != nil {
			c.HandleRequest(name, h)
		}
	}
}

// requestHandler returns nil when there is none.
func (c *Conn) requestHandler(name string) RequestFunc {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, handlers := range [][]*RequestFunc{c.requestHandlers[name], c.requestHandlers[""]} {
		if n := len(handlers); n > 0 {
			return *handlers[n-1]
		}
	}
	return nil
}

// addHandler adds h to the handlers of a name; remove takes h away again.
func addHandler[H any](mu *sync.Mutex, table *map[string][]*H, name string, h *H) (remove func()) {
	mu.Lock()
	defer mu.Unlock()
	if *table == nil {
		*table = make(map[string][]*H)
	}
	handlers := *table
	handlers[name] = append(handlers[name], h)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		handlers[name] = slices.DeleteFunc(handlers[name], func(g *H) bool { return g == h })
		if len(handlers[name]) == 0 {
			delete(handlers, name)
		}
	}
}

// requestQueue has the peer's requests about a channel, or about the connection, while they wait
// for their handlers. A goroutine handles them, and lives while there are any.
type requestQueue struct {
	conn    *Conn
	channel *Channel    // nil for the connection
	handler RequestFunc // of the channel; nil refuses everything

	mu       sync.Mutex
	queue    []queuedRequest
	bytes    int
	running  bool
	finished bool
	atEnd    func()
}

// queuedRequest is a request, or a number of refusals due after the request before. So requests
// beyond the bound, and requests without a handler, cost no memory and are answered in order.
type queuedRequest struct {
	request  *Request
	handle   RequestFunc
	refusals int
}

// push queues a request, and never blocks.
func (q *requestQueue) push(name string, wantReply bool, payload []byte, h RequestFunc) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := len(name) + len(payload)
	full := len(q.queue) >= maxQueued || q.bytes+size > maxQueuedBytes
	switch last := len(q.queue) - 1; {
	case q.finished:
		return
	case h != nil && !full:
		r := &Request{Name: name, WantReply: wantReply, Payload: slices.Clone(payload), conn: q.conn}
		q.queue = append(q.queue, queuedRequest{request: r, handle: h})
		q.bytes += size
	case !wantReply:
		return
	case last >= 0 && q.queue[last].request == nil:
		q.queue[last].refusals++
	default:
		q.queue = append(q.queue, queuedRequest{refusals: 1})
	}
	if !q.running {
		q.running = true
		go q.run()
	}
}

// run handles requests until there are none.
func (q *requestQueue) run() {
	for {
		next, ok := q.pop()
		if !ok {
			return
		}
		if r := next.request; r != nil {
			wantReply := r.WantReply // the handler may change r
			reply, ok := next.handle(q.conn.ctx, r)
			if wantReply {
				q.answer(reply, ok)
			}
		}
		for i := 0; i < next.refusals && q.answer(nil, false) == nil; i++ {
		}
	}
}

func (q *requestQueue) pop() (next queuedRequest, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		q.queue = nil
		q.running = false
		if q.finished && q.atEnd != nil {
			q.atEnd()
		}
		return next, false
	}
	next = q.queue[0]
	q.queue[0] = queuedRequest{}
	q.queue = q.queue[1:]
	if next.request != nil {
		q.bytes -= len(next.request.Name) + len(next.request.Payload)
	}
	return next, true
}

// finish calls atEnd when all queued requests have been handled, and lets no further request in.
func (q *requestQueue) finish(atEnd func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.finished {
		return
	}
	q.finished = true
	q.atEnd = atEnd
	if !q.running && atEnd != nil {
		atEnd()
	}
}

// answer sends an answer, and waits for room as all packets of the program do.
func (q *requestQueue) answer(reply []byte, ok bool) error {
	var packet []byte
	switch {
	case q.channel != nil && ok:
		packet = appendMsg(nil, msgChannelSuccess, q.channel.remote)
	case q.channel != nil:
		packet = appendMsg(nil, msgChannelFailure, q.channel.remote)
	case ok && len(reply) < maxMessage:
		packet = append([]byte{msgRequestSuccess}, reply...)
	default:
		packet = []byte{msgRequestFailure}
	}
	return q.conn.out.send(q.conn.ctx, q.channel, packet)
}
