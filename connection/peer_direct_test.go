package connection_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// directEnd is an end of a pipe with all methods of a connection.TryBatcher. try
// decides about a TryBatch; a nil try takes everything. The packets of a batch
// with a rest leave with the Flush.
type directEnd struct {
	*end
	try      func() (ok, more bool, err error)
	batching bool
	held     [][]byte
	buffer   []byte
	direct   []int // packets of each TryBatch; 0 for a refusal
	batches  []int // packets of each Batch
	flushes  int
}

func (d *directEnd) WritePacket(packet []byte) error {
	if !d.batching {
		return d.end.WritePacket(packet)
	}
	d.held = append(d.held, bytes.Clone(packet))
	return nil
}

func (d *directEnd) collect(write func() error) (n int, err error) {
	d.batching = true
	err = write()
	d.batching = false
	return len(d.held), err
}

func (d *directEnd) release() error {
	for _, packet := range d.held {
		if err := d.end.WritePacket(packet); err != nil {
			return err
		}
	}
	d.held = nil
	return nil
}

func (d *directEnd) TryBatch(write func() error) (ok, more bool, err error) {
	ok = true
	if d.try != nil {
		ok, more, err = d.try()
	}
	if !ok || err != nil {
		d.direct = append(d.direct, 0)
		return ok, more, err
	}
	n, err := d.collect(write)
	d.direct = append(d.direct, n)
	if err == nil && !more {
		err = d.release()
	}
	return true, more, err
}

func (d *directEnd) Batch(write func() error) error {
	n, err := d.collect(write)
	d.batches = append(d.batches, n)
	return errors.Join(err, d.release())
}

func (d *directEnd) Flush() error {
	d.flushes++
	return d.release()
}

func (d *directEnd) PacketBuffer(size int) []byte {
	clear(d.buffer) // the last packet is not looked at again
	d.buffer = slices.Grow(d.buffer[:0], size)
	return d.buffer
}

// startDirect returns a connection over a directEnd, a channel, and the peer. The
// batches that opened the channel are not counted.
func startDirect(t *testing.T, window, maxPacket uint32) (*connection.Conn, *connection.Channel, *directEnd, *peer) {
	t.Helper()
	return startDirectWith(t, nil, window, maxPacket)
}

func startDirectWith(
	t *testing.T, config *connection.Config, window, maxPacket uint32,
) (*connection.Conn, *connection.Channel, *directEnd, *peer) {
	t.Helper()
	ours, theirs := pipe()
	d := &directEnd{end: ours}
	c, p := connection.New(d, config), &peer{t: t, end: theirs, ours: ours}
	t.Cleanup(func() {
		_ = c.Close()
		_ = p.Close()
	})
	ch, _ := p.openWith(c, nil, window, maxPacket)
	synctest.Wait()
	d.batches = nil
	return c, ch, d, p
}

// received reads n bytes of data in packets of at most most bytes.
func received(p *peer, n, most int) []byte {
	p.t.Helper()
	var data []byte
	for len(data) < n {
		m := expect[dataMsg](p)
		require.LessOrEqual(p.t, len(m.Data), most)
		data = append(data, m.Data...)
	}
	return data
}
