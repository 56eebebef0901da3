// Package deadline has the deadlines of a channel's reads and writes.
package deadline

import (
	"sync"
	"time"
)

// Deadline is the read or write deadline of a channel. The mutex of the channel's half guards
// the deadline.
type Deadline struct {
	Passed bool // the time has come
	timer  *time.Timer
	round  uint64 // counts the settings, so that a timer that fires too late does nothing
}

// Set replaces the deadline. The caller holds mu, as the timer does for the call of wake that
// tells waiting calls of a passed deadline.
func (d *Deadline) Set(t time.Time, mu *sync.Mutex, wake func()) {
	d.Stop()
	d.Passed = false
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.Passed = true
		wake()
		return
	}
	round := d.round
	d.timer = time.AfterFunc(left, func() {
		mu.Lock()
		defer mu.Unlock()
		if d.round == round {
			d.Passed = true
			wake()
		}
	})
}

// Stop freezes the deadline for good: no timer runs any more.
func (d *Deadline) Stop() {
	d.round++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
