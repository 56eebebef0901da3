// Package waittest is how the packages of this module test that every call
// which can wait is let go: by its context, by a deadline, by the Close of
// whatever it waits on, and by the loss of the connection.
//
// Each package has a table of its calls, of type [Calls], which [Run] runs.
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
// where that can wait for several things, a comma and for what.
type Calls map[string]Call

// Call makes what a call needs, inside a bubble of testing/synctest, so that the
// call would wait for ever. t.Cleanup takes it down.
type Call func(t *testing.T) Blocked

// Blocked is a call that is about to wait.
type Blocked struct {
	Do      func(ctx context.Context) error
	Context bool          // it takes a context, whose end has to end it
	Grace   time.Duration // that the call may take after the end of its context
	Ends    []End         // all else that has to end it
}

// End is something that ends a wait.
type End struct {
	Name   string
	By     func()
	Want   []error       // each of which the call's error is; none: it returns nil
	After  time.Duration // from the call of By on
	Within time.Duration // after that
}

// Deadline is the end by a deadline that is set while the call waits.
func Deadline(set func(time.Time) error, want error) End {
	return End{
		Name:  "deadline",
		By:    func() { _ = set(time.Now().Add(time.Minute)) },
		Want:  []error{want},
		After: time.Minute,
	}
}

// Run tests every call against everything that has to end it, each time in a
// bubble of its own, which also fails if a goroutine is left.
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

// Collected tells whether nothing holds what p points to any more: no timer, and
// no context that lives on. The stacks of goroutines that have just ended may
// hold it for a moment.
func Collected[T any](p weak.Pointer[T]) bool {
	for range 1000 {
		if runtime.GC(); p.Value() == nil {
			return true
		}
		<-time.After(time.Millisecond)
	}
	return false
}

// way is an end, and the context that the call gets for it.
type way struct {
	End
	ctx context.Context
}

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
	passes, stop := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(func() {
		cancel(nil)
		stop()
	})
	return append(ways,
		way{End{Name: "context that has ended", Want: []error{context.Canceled}, Within: b.Grace}, ended},
		way{End{Name: "end of the context", By: func() { cancel(enough) }, Want: []error{context.Canceled}, Within: b.Grace}, ends},
		way{End{Name: "deadline of the context", By: func() {}, Want: []error{context.DeadlineExceeded},
			After: time.Minute, Within: b.Grace}, passes})
}

// run makes the call wait and ends that.
func (b *Blocked) run(t *testing.T, w way) {
	done := make(chan error, 1)
	begin := time.Now()
	go func() { done <- b.Do(w.ctx) }()
	synctest.Wait()
	if w.By != nil {
		if len(done) > 0 {
			t.Fatalf("%s: the call did not wait: %v", w.Name, <-done)
		}
		go w.By() // which may wait itself
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

// check compares the call's error with what is wanted. The end of something
// that did not end well is never io.EOF, unless that is wanted.
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
