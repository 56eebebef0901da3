// Package waittest tests that every call of this module that can wait is
// released: by its context, by a deadline, by a Close, and by the loss of the
// connection.
//
// Each package has a table of its calls, of type [Calls], for [Run].
// internal/archtest fails for an exported function that is in no table.
package waittest

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

// Calls are the calls of a package by name: "Function" or "Type.Method" and,
// for a call that can wait for several things, a comma and the thing.
type Calls map[string]Call

// Call prepares a call that would wait for ever, inside a bubble of
// testing/synctest. t.Cleanup takes the preparations down.
type Call func(t *testing.T) Blocked

// Blocked is a call that is about to wait.
type Blocked struct {
	Do      func(ctx context.Context) error
	Context bool          // Do waits no longer than its context
	Grace   time.Duration // the longest time from the end of the context to the end of the call
	Ends    []End         // the events that end the call, other than the context
}

// End is an event that ends a wait.
type End struct {
	Name   string
	By     func()
	Want   []error       // matched by the call's error, all of them; none means no error
	After  time.Duration // between the call of By and the end of the call
	Within time.Duration // more than After, at most
}

// Deadline is the end by a deadline, set while the call waits.
func Deadline(set func(time.Time) error, want error) End {
	return End{
		Name:  "deadline",
		By:    func() { _ = set(time.Now().Add(time.Minute)) },
		Want:  []error{want},
		After: time.Minute,
	}
}

// Run tests every call against each of its ends, in a bubble of its own, which
// also fails if a goroutine is left.
func Run(t *testing.T, calls Calls) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			for i, n := 0, 1; i < n; i++ {
				synctest.Test(t, func(t *testing.T) {
					b := call(t)
					ways := b.ways(t)
					n = len(ways)
					b.run(t, ways[i])
				})
			}
		})
	}
}

// Collected reports whether the value of p is garbage: no timer holds the
// value, and no context that lives on. Stacks of goroutines that have just
// ended may hold the value for a moment.
func Collected[T any](p weak.Pointer[T]) bool {
	for range 1000 {
		if runtime.GC(); p.Value() == nil {
			return true
		}
		<-time.After(time.Millisecond)
	}
	return false
}

// way is an end, and the context of the call for this end.
type way struct {
	End
	ctx context.Context
}

// ways are all ends of the call: those of the table, and for a call with a
// context three more.
func (b *Blocked) ways(t *testing.T) []way {
	var ways []way
	for _, e := range b.Ends {
		ways = append(ways, way{e, context.Background()})
	}
	if !b.Context {
		return ways
	}
	enough := errors.New("enough")
	ended, end := context.WithCancelCause(context.Background())
	end(enough)
	ends, cancel := context.WithCancelCause(context.Background())
	passes, stop := context.WithTimeoutCause(context.Background(), time.Minute, enough)
	t.Cleanup(func() {
		cancel(nil)
		stop()
	})
	return append(ways,
		way{End{Name: "context that has ended", Want: []error{context.Canceled, enough}, Within: b.Grace}, ended},
		way{End{Name: "end of the context", By: func() { cancel(enough) }, Want: []error{context.Canceled, enough}, Within: b.Grace}, ends},
		way{End{Name: "deadline of the context", By: func() {}, Want: []error{context.DeadlineExceeded, enough},
			After: time.Minute, Within: b.Grace}, passes})
}

// run makes the call wait, and ends the wait.
func (b *Blocked) run(t *testing.T, w way) {
	done := make(chan error, 1)
	begin := time.Now()
	go func() { done <- b.Do(w.ctx) }()
	synctest.Wait()
	if w.By != nil {
		if len(done) > 0 {
			t.Fatalf("%s: the call did not wait: %v", w.Name, <-done)
		}
		go w.By() // By may wait itself
	}
	select {
	case err := <-done:
		if took := time.Since(begin); took < w.After || took > w.After+w.Within {
			t.Errorf("%s: the call took %v", w.Name, took)
		}
		w.check(t, err)
	case <-time.After(time.Hour):
		t.Fatalf("%s: the call still waits", w.Name)
	}
}

// check compares the call's error with Want. An io.EOF would stand for a good
// end, and so is an error unless wanted.
func (w *way) check(t *testing.T, err error) {
	if (err == nil) != (len(w.Want) == 0) {
		t.Errorf("%s: error %v, want %v", w.Name, err, w.Want)
	}
	eof := errors.Is(err, io.EOF)
	for _, want := range w.Want {
		eof = eof && want != io.EOF
		if !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", w.Name, err, want)
		}
	}
	if eof {
		t.Errorf("%s: error %v is an io.EOF", w.Name, err)
	}
}
