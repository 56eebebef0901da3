package userauth

import "golang.org/x/crypto/ssh"

// Transport is the layer below: an SSH transport whose first key exchange is
// done. Authenticate calls the methods from one goroutine at a time, except
// Close. Every packet of a login passes through ReadPacket or WritePacket, so a
// type that embeds a Transport and overrides both sees all packets.
//
// The optional powers of a Transport are interfaces of their own: [Batcher],
// [HostKeyProver], [DoneNotifier] and [ServiceWaiter]. Authenticate looks for
// the powers when a login starts.
type Transport interface {
	// RequestService sends a service request and does not wait. ReadPacket
	// consumes the server's acceptance.
	RequestService(name string) error

	// ReadPacket returns the next message with a number of 50 or above. The
	// slice is valid until the next call.
	ReadPacket() ([]byte, error)

	// WritePacket sends one message and does not keep the slice.
	WritePacket(packet []byte) error

	// SessionID returns the exchange hash of the first key exchange.
	SessionID() []byte

	// Extension returns the value of an RFC 8308 extension of the server's, as
	// far as extensions have been read.
	Extension(name string) (value []byte, ok bool)

	// Close ends the transport and unblocks every other call. Close may be called
	// by any goroutine, and more than once.
	Close() error
}

// Batcher is a [Transport] that can send the packets of a flight together.
type Batcher interface {
	// Batch calls write, and sends the packets that write gives to WritePacket
	// in as few writes to the connection below as possible. Packets written
	// before an error of write leave too. Batch returns the error of write, or
	// why the packets could not leave.
	Batch(write func() error) error
}

// HostKeyProver is a [Transport] that can show who the server is. Signatures
// and agents are then bound to the server, see [PublicKeys].
type HostKeyProver interface {
	// HostKeyProof returns the server's host key, and the server's signature of
	// the session identifier by that key, in wire form.
	HostKeyProof() (key ssh.PublicKey, signature []byte)
}

// DoneNotifier is a [Transport] with whose end the contexts of methods end, too.
type DoneNotifier interface {
	// Done returns a channel that is closed when the transport ends.
	Done() <-chan struct{}
}

// ServiceWaiter is a [Transport] on which [Config].WaitService has an effect.
type ServiceWaiter interface {
	// WaitService returns when the server has accepted the service that was
	// requested last, or when the transport has failed.
	WaitService() error
}

// powers are the optional interfaces of a login's transport, nil where missing.
type powers struct {
	batcher Batcher
	prover  HostKeyProver
	done    DoneNotifier
	waiter  ServiceWaiter
}

// powersOf is the only place that looks for the powers of a transport.
func powersOf(t Transport) (p powers) {
	p.batcher, _ = t.(Batcher)
	p.prover, _ = t.(HostKeyProver)
	p.done, _ = t.(DoneNotifier)
	p.waiter, _ = t.(ServiceWaiter)
	return p
}
