package connection

// Transport carries the packets of a connection. The packets are authenticated and in order, and
// begin with a message number of RFC 4254.
//
// One goroutine at a time calls ReadPacket, and one at a time WritePacket. The connection uses
// the slice from ReadPacket until the next call. WritePacket does not keep its slice, and may
// block, as in a key re-exchange. Close does not block, and makes both of the others return.
// A transport may encrypt the slice in place: a decorator looks at a packet before passing the
// packet on, and neither later nor again. A decorator must not wait in WritePacket for a packet
// to be read, and makes no Batch there: WritePacket may run within one.
//
// All packets pass ReadPacket and WritePacket, whatever else a transport has. So a decorator
// that embeds a transport and overrides the two sees every packet, and keeps the optional
// methods of [Batcher], [TryBatcher], [WaitNotifier], [Unimplementer] and [EarlyTransport]. [New]
// looks for these once. The connection writes to a Batcher inside Batch and TryBatch only.
type Transport interface {
	ReadPacket() ([]byte, error)
	WritePacket(packet []byte) error
	Close() error
}

// Batcher is a [Transport] that sends several packets by one system call.
type Batcher interface {
	// Batch calls write, and sends the packets that write passes to WritePacket in as few writes
	// to the connection below as possible. Batch waits as WritePacket does, and returns the
	// error of write, after sending the packets before the error.
	Batch(write func() error) error
}

// TryBatcher is a [Batcher] that also sends without waiting. Large channel data is sent straight
// by the goroutine that writes the data then, and copied only once.
type TryBatcher interface {
	Batcher

	// TryBatch is Batch for a caller that must not wait: for another writer, for a key exchange,
	// or for the peer to read. Where a wait is due, ok is false, and write was not called. If
	// more is true, some of the packets could not leave, or new keys are due: the connection
	// calls Flush before any other write.
	TryBatch(write func() error) (ok, more bool, err error)

	// Flush sends the rest that a TryBatch has left.
	Flush() error

	// PacketBuffer returns an empty buffer with room for size bytes, or nil. A packet that is
	// appended to the buffer and passed to the next WritePacket is not copied again. The buffer
	// is valid until that call, within Batch or TryBatch.
	PacketBuffer(size int) []byte
}

// WaitNotifier is a [Transport] that tells when ReadPacket has to wait, so that the connection
// handles many packets before waking any reader.
type WaitNotifier interface {
	// NotifyWait sets a function to be called each time before ReadPacket waits for the peer; nil
	// ends the calls. A second wait within one ReadPacket is a sign of life: some packet has come,
	// if not for the connection. The connection calls NotifyWait before its first ReadPacket.
	// A decorator whose ReadPacket waits for something else overrides NotifyWait, too, and
	// calls waiting before that wait: until then the readers of earlier data are not woken.
	NotifyWait(waiting func())
}

// Unimplementer is a [Transport] that answers the packet read last as RFC 4253 section 11.4
// demands for a message that nobody knows. Without an Unimplementer the connection passes over
// such messages.
type Unimplementer interface {
	Unimplemented() error
}

// EarlyTransport is a [Transport] that takes packets while a layer below still reads, for
// example during authentication.
type EarlyTransport interface {
	// Readable returns a channel that is closed once the connection may read. Until then the
	// connection only writes, and asks for no sign of life.
	Readable() <-chan struct{}
}

// powers are the optional interfaces of a transport; nil where the transport lacks the methods.
type powers struct {
	batch         Batcher
	tryBatch      TryBatcher
	notify        WaitNotifier
	unimplemented Unimplementer
	early         EarlyTransport
}

func powersOf(t Transport) (p powers) {
	p.batch, _ = t.(Batcher)
	p.tryBatch, _ = t.(TryBatcher)
	p.notify, _ = t.(WaitNotifier)
	p.unimplemented, _ = t.(Unimplementer)
	p.early, _ = t.(EarlyTransport)
	return p
}
