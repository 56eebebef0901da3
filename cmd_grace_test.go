package nacre

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGrace(t *testing.T) {
	for name, test := range map[string]struct {
		delay time.Duration
		use   func(g *grace, cancel func())
		want  time.Duration // from the beginning to the end of the grace
	}{
		"not held":                {time.Hour, func(_ *grace, cancel func()) { cancel() }, 0},
		"held":                    {time.Hour, func(g *grace, cancel func()) { g.hold(true); cancel() }, time.Hour},
		"without a delay":         {-1, func(g *grace, cancel func()) { g.hold(true); cancel() }, 0},
		"released before the end": {time.Hour, func(g *grace, cancel func()) { g.hold(true); g.hold(false); cancel() }, 0},
		"released after the end": {time.Hour, func(g *grace, cancel func()) {
			g.hold(true)
			cancel()
			time.Sleep(time.Minute)
			g.hold(false)
		}, time.Minute},
		"held again: the delay counts once": {time.Hour, func(g *grace, cancel func()) {
			g.hold(true)
			cancel()
			time.Sleep(time.Minute)
			g.hold(true)
		}, time.Hour},
		"held too late": {time.Hour, func(g *grace, cancel func()) { cancel(); synctest.Wait(); g.hold(true) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cause := errors.New("called off")
				ctx, cancel := context.WithCancelCause(t.Context())
				g := newGrace(ctx, test.delay)
				defer g.close()
				begin := time.Now()
				require.NoError(t, g.Err())
				test.use(g, func() { cancel(cause); synctest.Wait() })
				<-g.Done()
				require.Equal(t, test.want, time.Since(begin))
				require.Equal(t, context.Canceled, g.Err())
				child, stop := context.WithCancel(g)
				defer stop()
				require.Equal(t, cause, context.Cause(child))
			})
		})
	}
}

func TestDeadlineOfAGraceIsThatOfItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	g := newGrace(ctx, 0)
	defer g.close()
	want, _ := ctx.Deadline()
	have, ok := g.Deadline()
	require.True(t, ok)
	require.Equal(t, want, have)
}
