package transport

// The names of all algorithms.
var (
	Ciphers = defaultCiphers
	MACs    = defaultMACs

	KeyExchanges      = defaultKeyExchanges
	HostKeyAlgorithms = defaultHostKeyAlgorithms
)

// Left reports whether something waits for the next write, with a buffer of its own.
func (c *Conn) Left() bool {
	<-c.w.lock
	defer func() { c.w.lock <- struct{}{} }()
	return c.w.Left()
}
