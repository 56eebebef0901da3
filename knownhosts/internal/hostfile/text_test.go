package hostfile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

func TestForeignTextIsSafeToShow(t *testing.T) {
	const evil = "a\nb\x1b[2J\u202e"
	require.Equal(t, `"a\nb\x1b[2J\u202e"`, hostfile.Quote(evil))
	require.Equal(t, "a\nb?[2J?", hostfile.Visible(evil))
	require.Equal(t, "a b?[2J?", hostfile.OneLine(evil))
	long := hostfile.Quote(strings.Repeat("\x1b", 1000))
	require.Equal(t, `"`+strings.Repeat(`\x1b`, 128)+`"…`, long)
}

func TestPositionsAreThoseOfEditors(t *testing.T) {
	require.Equal(t, "f:3", hostfile.Position("f", 3))
	require.Equal(t, "f", hostfile.Position("f", 0))
	require.Equal(t, "(in memory)", hostfile.Position("", 0))
}

func TestJoinStaysOnOneLine(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	require.Equal(t, a, hostfile.Join(a, nil))
	require.Equal(t, b, hostfile.Join(nil, b))
	require.NoError(t, hostfile.Join(nil, nil))
	both := hostfile.Join(a, b)
	require.EqualError(t, both, "a; b")
	require.ErrorIs(t, both, a)
	require.ErrorIs(t, both, b)
}
