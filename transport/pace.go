package transport

// Limits of a pacer, in reads and bytes.
const (
	paceStreak = 16        // so many large reads make a stream
	paceLarge  = 16 << 10  // a large read
	paceEnough = 128 << 10 // a read that needs no pause before the next
	paceWorth  = 48 << 10  // what a pause has to bring: more than one packet
	paceVain   = 2         // so many pauses in a row that bring less end them
)

// A pacer decides when to let more come before a socket is read again, as
// network cards do with interrupts. A server that is slower than we are, over
// a path that is very fast, sends bulk data packet by packet; waiting for each
// costs more than decrypting it. A pause of some ten microseconds makes it one
// wait for several.
//
// There is no pause unless many reads in a row were large, and after two that
// did not bring more than a packet there is none for twice as many reads. So
// only a stream of nearly 1 GB/s is paced, and a peer that waits for us between
// its packets is delayed once in a while.
type pacer struct {
	streak int // large reads, up to paceStreak; negative after pauses in vain
	vain   int // pauses in vain
	last   int // bytes of the last read
}

// due tells whether to pause before the next read.
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
