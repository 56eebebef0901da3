package userauth_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/userauth"
)

func TestEndedContextSendsNothing(t *testing.T) {
	cause := errors.New("user went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	p := verdicts(success)
	err := userauth.Authenticate(ctx, p, &userauth.Config{User: "bob", Methods: []userauth.Method{userauth.None()}})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
	require.Empty(t, p.events)
	require.True(t, p.closed)
}

func TestContextThatEndsWithTheSuccessIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := newPeer(func([]byte) [][]byte { cancel(); return [][]byte{success} })
	err := userauth.Authenticate(ctx, p, &userauth.Config{User: "bob", Methods: []userauth.Method{userauth.None()}})
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, p.closed)
}
