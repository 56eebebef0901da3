package connection

import (
	"context"
)

// earlyWindow is the number of bytes that an early channel may send before the peer has granted
// a window.
const earlyWindow = 16 << 10

// OpenChannelEarly opens a channel as [Conn.OpenChannel] does, and returns without waiting for
// the answer. The channel is used as if the peer had confirmed the given number: requests, data
// and EOF go out right behind the open. RFC 4254 does not foresee such early use.
// OpenChannelEarly is for peers whose numbers are known: OpenSSH and Dropbear give 0 to the
// first channel of a connection.
//
// Up to 16 KiB of data are sent before the answer, and charged to the window that the peer
// grants. If the peer gives the channel another number, the connection ends with a
// [*ProtocolError]. If the peer refuses the channel, all calls on the channel and the answers to
// its requests fail with the [*OpenError]. ctx ends only the wait for room, while very much is
// queued to be written.
func (c *Conn) OpenChannelEarly(
	ctx context.Context, typ string, extra []byte, number uint32, h RequestFunc,
) (*Channel, error) {
	ch := c.newChannel(h)
	ch.early = true
	ch.setPeer(number, earlyWindow, earlyWindow)
	if err := c.sendOpen(ctx, ch, typ, extra); err != nil {
		return nil, err
	}
	return ch, nil
}

// confirmPeer is setPeer for an early channel: data sent early counts against the window.
// OpenSSH confirms a session without any window, and grants some after accepting a command.
func (c *Channel) confirmPeer(number, window, maxPacket uint32) error {
	c.conn.out.mu.Lock()
	defer c.conn.out.mu.Unlock()
	if number != c.remote {
		return protocolErrorf("channel %d was confirmed as number %d after its early use as %d", c.id, number, c.remote)
	}
	c.sendWindow += int64(window) - earlyWindow
	c.sendMax = min(maxPacket, maxSend)
	c.wakeWriters()
	return nil
}
