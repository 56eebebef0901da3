package early_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/early"
)

func TestInquiryAsksEveryTwoSecondsAndNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		q := early.Inquire(t.Context(), func(context.Context) error { asked.Add(1); return nil })
		time.Sleep(5 * time.Second)
		require.EqualValues(t, 2, asked.Load())
		time.Sleep(time.Hour)
		require.EqualValues(t, 30, asked.Load())
		require.True(t, q.End())
	})
}

func TestInquiryEndsWithTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := early.Inquire(t.Context(), func(context.Context) error { panic("not silent for long enough") })
		time.Sleep(time.Second)
		require.False(t, q.End())
		time.Sleep(time.Minute)
	})
}

func TestInquiryEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		q := early.Inquire(t.Context(), func(context.Context) error { asked.Add(1); return errors.New("lost") })
		time.Sleep(time.Minute)
		require.EqualValues(t, 1, asked.Load())
		require.True(t, q.End())
	})
}
