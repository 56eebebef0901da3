package connection

import (
	"sync"
	"time"
)

// deadline is one of the two of a channel. The mutex of the half it belongs to
// guards it.
type deadline struct {
	passed bool
	timer  *time.Timer
	round  uint64 // tells a timer that it came too late to be stopped
}

// set replaces the deadline. The caller holds mu, and so does the call of wake
// that tells waiting calls of a deadline that has passed.
func (d *deadline) set(t time.Time, mu *sync.Mutex, wake func()) {
	d.stop()
	d.passed = false
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.passed = true
		wake()
		return
	}
	round := d.round
	d.timer = time.AfterFunc(left, func() {
		mu.Lock()
		defer mu.Unlock()
		if d.round == round {
			d.passed = true
			wake()
		}
	})
}

// stop leaves the deadline as it is, for good: no timer runs any more.
func (d *deadline) stop() {
	d.round++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
