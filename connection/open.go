package connection

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"
)

// OpenChannel opens a channel of the given type; extra is the data that the
// type prescribes behind the general part of the open, RFC 4254 section 5.1. h
// answers the peer's requests about the channel; nil refuses them all. A
// refusal is an [*OpenError]. When ctx ends first, OpenChannel returns its
// error, and closes the channel should the peer still open it.
func (c *Conn) OpenChannel(ctx context.Context, typ string, extra []byte, h RequestFunc) (*Channel, error) {
	ch := c.newChannel(h)
	if err := c.sendOpen(ctx, ch, typ, extra); err != nil {
		return nil, err
	}
	select {
	case <-ch.opened:
	case <-ctx.Done():
		if ch.abandon() {
			return nil, ctx.Err()
		}
	case <-c.done:
		return nil, c.closed()
	}
	if ch.openErr != nil {
		return nil, ch.openErr
	}
	return ch, nil
}

// earlyWindow is the data that a presumed channel takes before the peer has
// said what it allows.
const earlyWindow = 16 << 10

// PresumeChannel opens a channel as [Conn.OpenChannel] does and returns without
// waiting for the answer. The channel is used as if the peer had given it the
// given number, so requests, data and EOF go out right behind the open. RFC
// 4254 does not foresee that: it is for peers of whom the number is known, as
// OpenSSH and dropbear give 0 to the first channel of a connection.
//
// Up to 16 KiB of data are sent before the answer; a window that is smaller in
// the end is charged for it. If the peer gives the channel another number, the
// connection ends with a [*ProtocolError]. If it refuses, all calls on the
// channel and the answers to its requests fail with the [*OpenError]. ctx is
// only for the wait that there is when very much is queued to be written.
func (c *Conn) PresumeChannel(
	ctx context.Context, typ string, extra []byte, number uint32, h RequestFunc,
) (*Channel, error) {
	ch := c.newChannel(h)
	ch.presumed = true
	ch.setPeer(number, earlyWindow, earlyWindow)
	if err := c.sendOpen(ctx, ch, typ, extra); err != nil {
		return nil, err
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
	err := fmt.Errorf("connection: channel open of %d bytes is too long", len(packet))
	if len(packet) <= maxMessage {
		err = c.out.send(ctx, nil, packet)
	}
	if err != nil {
		c.remove(ch)
	}
	return err
}

// add gives a new channel its number and makes it known to the read loop.
func (c *Conn) add(ch *Channel) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return closedBy(c.cause)
	}
	if len(c.channels)+c.deciding >= c.config.MaxChannels {
		return &OpenError{Reason: ResourceShortage, Message: "too many channels of this connection are open"}
	}
	c.addLocked(ch)
	return nil
}

// addLocked numbers channels on and on: a late message never finds another
// channel under the number of one that is gone.
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

// setPeer takes over what the peer says of itself when a channel is opened.
func (c *Channel) setPeer(number, window, maxPacket uint32) {
	c.conn.out.mu.Lock()
	defer c.conn.out.mu.Unlock()
	c.remote = number
	c.sendWindow = int64(window)
	c.sendMax = min(maxPacket, maxSend)
}

// confirmPeer is setPeer for a presumed channel: what was sent early counts
// against the window. OpenSSH confirms a session with no window at all, and
// grants it when it has accepted a command.
func (c *Channel) confirmPeer(number, window, maxPacket uint32) error {
	c.conn.out.mu.Lock()
	defer c.conn.out.mu.Unlock()
	if number != c.remote {
		return protocolErrorf("channel %d got number %d, and was used as %d", c.id, number, c.remote)
	}
	c.sendWindow += int64(window) - earlyWindow
	c.sendMax = min(maxPacket, maxSend)
	c.wakeWriters()
	return nil
}

// abandon gives up waiting for the answer to an open, unless it has come.
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

// publish ends the wait for the answer to an open. It returns false when nobody
// waits.
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
		return protocolErrorf("confirmation of channel %d, which is not being opened", m.Recipient)
	}
	if m.MaxPacket == 0 {
		return protocolErrorf("channel %d does not allow any data", m.Recipient)
	}
	if !ch.presumed {
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
		return protocolErrorf("refusal of channel %d, which is not being opened", m.Recipient)
	}
	c.remove(ch)
	ch.openErr = &OpenError{Reason: OpenReason(m.Reason), Message: cut(m.Message)}
	ch.publish()
	ch.lost(closedBy(ch.openErr))
	return nil
}

// OpenFunc decides about a channel that the peer wants to open: it calls
// [Open.Accept] or [Open.Reject] before it returns, or leaves the decision to
// the next handler. It runs on its own goroutine and may go on to use the
// channel. ctx ends with the connection.
type OpenFunc func(ctx context.Context, o *Open)

type openHandler struct{ handle OpenFunc }

// HandleOpen has h decide about channels of the given type that the peer wants
// to open; "" stands for all types, after the handlers of the type itself. Of
// several handlers the newest is asked first. When all leave the decision open
// the channel is refused as prohibited, when there is none as of an unknown
// type. Up to 256 undecided opens are held, further ones refused.
func (c *Conn) HandleOpen(typ string, h OpenFunc) (remove func()) {
	return addHandler(&c.mu, &c.openHandlers, typ, &openHandler{h})
}

// Open is a channel that the peer wants to open.
type Open struct {
	conn     *Conn
	msg      channelOpenMsg
	answered bool // conn.mu guards it
}

// Type returns the type of the channel. It is the peer's text.
func (o *Open) Type() string { return o.msg.Type }

// ExtraData returns the data that belongs to the type. It must not be changed,
// as handlers that are asked later get the same.
func (o *Open) ExtraData() []byte { return o.msg.ExtraData }

// Accept opens the channel; h is as for [Conn.OpenChannel]. It fails when the
// open has been answered or the connection has ended.
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

// Reject refuses the channel. It fails as Accept does. The message is for
// people; more than 200 bytes are cut off.
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

// answer makes the decision, once: for the channel, or against any if it is
// nil. The caller sends it, and then calls answered: until then the open counts,
// or a peer that does not read could have any number of them wait for room.
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

// handleOpen is the read loop's part of an open: it refuses what nobody could
// decide about, and starts a goroutine for the rest.
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

// admit counts an open as undecided and returns the handlers to ask, the first
// one first, or nil and why it is refused.
func (c *Conn) admit(m *channelOpenMsg) (handlers []*openHandler, reason OpenReason, message string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	handlers = slices.Clone(c.openHandlers[""])
	if m.Type != "" {
		handlers = append(handlers, c.openHandlers[m.Type]...)
	}
	slices.Reverse(handlers)
	switch {
	case len(handlers) == 0:
		return nil, UnknownChannelType, "unknown channel type"
	case c.deciding+c.answering >= maxDeciding || len(c.channels)+c.deciding >= c.config.MaxChannels:
		return nil, ResourceShortage, "too many channels"
	case m.MaxPacket == 0:
		return nil, ConnectFailed, "maximum packet size is 0"
	}
	c.deciding++
	return handlers, 0, ""
}

// decide asks one handler after the other.
func (o *Open) decide(handlers []*openHandler) {
	for _, h := range handlers {
		h.handle(o.conn.ctx, o)
		if o.isAnswered() {
			return
		}
	}
	// An error means that the connection has ended.
	_ = o.Reject(Prohibited, "not allowed")
}

func (o *Open) isAnswered() bool {
	o.conn.mu.Lock()
	defer o.conn.mu.Unlock()
	return o.answered
}
