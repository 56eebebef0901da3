package connection

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

// OpenChannel opens a channel of the given type; extra is the type's own part of the open, RFC
// 4254 section 5.1. h answers the peer's requests about the channel; nil refuses all. A refusal
// is an [*OpenError]. When ctx ends first, OpenChannel returns the errors of ctx, and closes the
// channel should the peer still open it.
func (c *Conn) OpenChannel(ctx context.Context, typ string, extra []byte, h RequestFunc) (*Channel, error) {
	ch := c.newChannel(h)
	if err := c.sendOpen(ctx, ch, typ, extra); err != nil {
		return nil, err
	}
	select {
	case <-ch.opened:
	case <-ctx.Done():
		if ch.abandon() {
			return nil, ctxerr.Of(ctx)
		}
	case <-c.done:
		return nil, context.Cause(c.ctx)
	}
	if ch.openErr != nil {
		return nil, ch.openErr
	}
	return ch, nil
}

// sendOpen makes ch known to the read loop and queues the open.
func (c *Conn) sendOpen(ctx context.Context, ch *Channel, typ string, extra []byte) error {
	if err := c.add(ch); err != nil {
		return err
	}
	packet := ssh.Marshal(&channelOpenMsg{
		Type:      typ,
		Sender:    ch.id,
		Window:    uint32(c.config.Window),
		MaxPacket: uint32(c.config.MaxPacket),
		ExtraData: extra,
	})
	err := fmt.Errorf("connection: channel open of %d bytes is longer than %d", len(packet), maxMessage)
	if len(packet) <= maxMessage {
		err = c.out.send(ctx, nil, packet)
	}
	if err != nil {
		c.remove(ch)
	}
	return err
}

// add numbers a new channel and makes the channel known to the read loop.
func (c *Conn) add(ch *Channel) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return closedBy(c.cause)
	}
	if len(c.channels)+c.deciding >= c.config.MaxChannels {
		return &OpenError{Reason: ResourceShortage, Message: "too many open channels; raise Config.MaxChannels"}
	}
	c.addLocked(ch)
	return nil
}

// addLocked counts upwards and reuses no number, so that a late message never meets another
// channel under the number of a former channel.
func (c *Conn) addLocked(ch *Channel) {
	for c.channels[c.nextID] != nil {
		c.nextID++
	}
	ch.id = c.nextID
	if c.channels == nil {
		c.channels = make(map[uint32]*Channel)
	}
	c.channels[ch.id] = ch
	c.nextID++
}

// remove makes ch unknown to the read loop.
func (c *Conn) remove(ch *Channel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.channels, ch.id)
}

// setPeer takes over the peer's side of an open: number, window and packet size.
func (c *Channel) setPeer(number, window, maxPacket uint32) {
	c.conn.out.mu.Lock()
	defer c.conn.out.mu.Unlock()
	c.remote = number
	c.sendWindow = int64(window)
	c.sendMax = min(maxPacket, maxSend)
}

// abandon gives up the wait for the answer to an open, unless the answer has come.
func (c *Channel) abandon() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.opened:
		return false
	default:
		c.abandoned = true
		return true
	}
}

// publish ends the wait for the answer to an open, and returns false when nobody waits.
func (c *Channel) publish() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.opened)
	return !c.abandoned
}

func (c *Conn) handleConfirmation(packet []byte) error {
	var m channelConfirmationMsg
	if err := unmarshal(packet, &m); err != nil {
		return err
	}
	ch := c.lookup(m.Recipient)
	if ch == nil || ch.confirmed {
		return protocolErrorf("confirmation of channel %d without an open", m.Recipient)
	}
	if m.MaxPacket == 0 {
		return protocolErrorf("confirmation of channel %d with a packet size of 0", m.Recipient)
	}
	if !ch.early {
		ch.setPeer(m.Sender, m.Window, m.MaxPacket)
	} else if err := ch.confirmPeer(m.Sender, m.Window, m.MaxPacket); err != nil {
		return err
	}
	ch.confirmed = true
	if !ch.publish() {
		ch.sendClose(errChannelClosed)
		ch.discard()
	}
	return nil
}

func (c *Conn) handleOpenFailure(packet []byte) error {
	var m channelOpenFailureMsg
	if err := unmarshal(packet, &m); err != nil {
		return err
	}
	ch := c.lookup(m.Recipient)
	if ch == nil || ch.confirmed {
		return protocolErrorf("refusal of channel %d without an open", m.Recipient)
	}
	c.remove(ch)
	ch.openErr = &OpenError{Reason: OpenReason(m.Reason), Message: cut(m.Message)}
	ch.publish()
	ch.lost(closedBy(ch.openErr))
	return nil
}

// OpenFunc decides about a channel that the peer wants to open. An OpenFunc calls [Open.Accept]
// or [Open.Reject] before it returns, or leaves the decision to the next handler. Each call has
// its own goroutine and may go on to use the channel. ctx ends with the connection.
type OpenFunc func(ctx context.Context, o *Open)

// HandleOpen makes h decide about channels of the given type that the peer wants to open; ""
// stands for all types, after the handlers of the type itself. Of several handlers the newest is
// asked first. A channel without a handler is refused as of an unknown type, and a channel about
// which no handler decides as prohibited. Up to 256 undecided opens are held, further opens
// refused.
func (c *Conn) HandleOpen(typ string, h OpenFunc) (remove func()) {
	return addHandler(&c.mu, &c.openHandlers, typ, &h)
}

// Open is a channel that the peer wants to open.
type Open struct {
	conn     *Conn
	msg      channelOpenMsg
	answered bool // conn.mu guards it
}

// Conn returns the connection of the open. A handler in a [Config] learns its connection here.
func (o *Open) Conn() *Conn { return o.conn }

// Type returns the type of the channel, a text of the peer.
func (o *Open) Type() string { return o.msg.Type }

// ExtraData returns the type's own part of the open. Handlers that are asked later get the same
// slice, so a handler must not change the data.
func (o *Open) ExtraData() []byte { return o.msg.ExtraData }

// Accept opens the channel; h is as for [Conn.OpenChannel]. Accept fails when the open has been
// answered or the connection has ended.
func (o *Open) Accept(h RequestFunc) (*Channel, error) {
	c := o.conn
	ch := c.newChannel(h)
	ch.setPeer(o.msg.Sender, o.msg.Window, o.msg.MaxPacket)
	ch.confirmed = true
	if err := o.answer(ch); err != nil {
		return nil, err
	}
	defer c.answered()
	err := c.out.send(c.ctx, nil, ssh.Marshal(&channelConfirmationMsg{
		Recipient: ch.remote,
		Sender:    ch.id,
		Window:    uint32(c.config.Window),
		MaxPacket: uint32(c.config.MaxPacket),
	}))
	if err != nil {
		return nil, err // the connection has ended, and the channel with it
	}
	return ch, nil
}

// Reject refuses the channel, and fails as Accept does. The message is for people, and cut to
// 200 bytes.
func (o *Open) Reject(reason OpenReason, message string) error {
	if err := o.answer(nil); err != nil {
		return err
	}
	defer o.conn.answered()
	return o.conn.out.send(o.conn.ctx, nil, openFailure(o.msg.Sender, reason, message))
}

func openFailure(recipient uint32, reason OpenReason, message string) []byte {
	return ssh.Marshal(&channelOpenFailureMsg{
		Recipient: recipient,
		Reason:    uint32(reason),
		Message:   cut(message),
		Language:  []byte{0, 0, 0, 2, 'e', 'n'},
	})
}

// answer makes the decision, once: for the channel, or against any channel if ch is nil. The
// caller sends the answer and then calls answered. The open counts until then, or a peer that
// does not read could have any number of opens wait for room.
func (o *Open) answer(ch *Channel) error {
	c := o.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.answered {
		return errAnswered
	}
	if c.ended {
		return closedBy(c.cause)
	}
	o.answered = true
	c.deciding--
	c.answering++
	if ch != nil {
		c.addLocked(ch)
	}
	return nil
}

// answered is called when an answer is on its way.
func (c *Conn) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answering--
}

// handleOpen is the read loop's part of an open: a refusal if nobody can decide, and a goroutine
// otherwise.
func (c *Conn) handleOpen(packet []byte) error {
	o := &Open{conn: c}
	if err := unmarshal(packet, &o.msg); err != nil {
		return err
	}
	handlers, reason, message := c.admit(&o.msg)
	if handlers == nil {
		c.wakeReaders()
		return c.out.owe(openFailure(o.msg.Sender, reason, message))
	}
	o.msg.ExtraData = slices.Clone(o.msg.ExtraData)
	go o.decide(handlers)
	return nil
}

// admit counts an open as undecided and returns the handlers in the order to ask them, or nil, a
// reason and a message for the refusal.
func (c *Conn) admit(m *channelOpenMsg) (handlers []*OpenFunc, reason OpenReason, message string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	handlers = slices.Clone(c.openHandlers[""])
	if m.Type != "" {
		handlers = append(handlers, c.openHandlers[m.Type]...)
	}
	slices.Reverse(handlers)
	switch {
	case len(handlers) == 0:
		return nil, UnknownChannelType, "no handler for this type"
	case c.deciding+c.answering >= maxDeciding || len(c.channels)+c.deciding >= c.config.MaxChannels:
		return nil, ResourceShortage, "too many channels"
	case m.MaxPacket == 0:
		return nil, ConnectFailed, "maximum packet size is 0"
	}
	c.deciding++
	return handlers, 0, ""
}

// decide asks the handlers in order.
func (o *Open) decide(handlers []*OpenFunc) {
	for _, h := range handlers {
		(*h)(o.conn.ctx, o)
		if o.isAnswered() {
			return
		}
	}
	// An error means that the connection has ended.
	_ = o.Reject(Prohibited, "no handler accepted the channel")
}

func (o *Open) isAnswered() bool {
	o.conn.mu.Lock()
	defer o.conn.mu.Unlock()
	return o.answered
}
