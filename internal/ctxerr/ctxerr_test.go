package ctxerr_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

func TestContextThatHasNotEndedHasNoError(t *testing.T) {
	require.NoError(t, ctxerr.Of(t.Context()))
	err := errors.New("refused")
	require.Equal(t, err, ctxerr.Join(t.Context(), err))
}

func TestErrorHasTheCauseOfTheContext(t *testing.T) {
	cause := errors.New("the deployment was called off")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	require.ErrorIs(t, ctxerr.Of(ctx), context.Canceled)
	require.ErrorIs(t, ctxerr.Of(ctx), cause)

	refused := errors.New("refused")
	joined := ctxerr.Join(ctx, refused)
	require.ErrorIs(t, joined, refused)
	require.ErrorIs(t, joined, cause)
	require.Equal(t, joined, ctxerr.Join(ctx, joined))
}

func TestPlainCancellationIsNotSaidTwice(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, context.Canceled, ctxerr.Of(ctx))
}
