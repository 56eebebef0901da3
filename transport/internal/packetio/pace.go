package packetio

// Limits of a pacer, in reads and bytes.
const (
	paceStreak = 16        // large reads in a row that make a stream
	paceLarge  = 16 << 10  // a large read
	paceEnough = 128 << 10 // a read that needs no pause before the next
	paceWorth  = 48 << 10  // bytes that a pause has to bring: more than a packet
	paceVain   = 2         // pausing stops after this many pauses below paceWorth
)

// A pacer decides when to let more come before a socket is read again, as network cards
// do with interrupts. A server that is slower than we are, over a very fast path, sends
// bulk data packet by packet, and each wait costs more than the decryption. After a
// pause of some ten microseconds, several packets come with a single wait.
//
// There is no pause unless many reads in a row were large. After paceVain pauses in a
// row that brought less than paceWorth, twice as many reads must be large before the
// next pause. So only a stream of nearly 1 GB/s is paced, and a peer that waits for us
// between its packets is delayed once in a while.
type pacer struct {
	streak int // large reads, up to paceStreak; negative after pauses in vain
	vain   int // pauses in vain
	last   int // bytes of the last read
}

// due reports whether to pause before the next read.
func (p *pacer) due() bool { return p.streak == paceStreak && p.last < paceEnough }

// note takes the result of a read: n is 0 if there was nothing.
func (p *pacer) note(n int, paused bool) {
	switch {
	case paused && n < paceWorth:
		if p.vain++; p.vain == paceVain {
			p.streak, p.vain = -paceStreak, 0
		}
	case paused:
		p.vain = 0
	case n >= paceLarge:
		p.streak = min(p.streak+1, paceStreak)
	case n > 0:
		p.streak = min(p.streak, 0)
	}
	if n > 0 {
		p.last = n
	}
}
