package connection_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// later is a transport that another layer is still reading.
type later struct {
	connection.Transport
	opened chan struct{}
}

func (l later) Opened() <-chan struct{} { return l.opened }

func TestTransportIsNotReadBeforeItIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := pipe()
		p := &peer{t: t, end: theirs, ours: ours}
		l := later{ours, make(chan struct{})}
		c := connection.New(l, &connection.Config{KeepAliveInterval: time.Minute, KeepAliveCount: 1})
		pending, err := c.SendRequest(t.Context(), "early", true, nil)
		require.NoError(t, err)
		require.Equal(t, "early", expect[globalRequestMsg](p).Name)
		p.send(requestSuccessMsg{})

		time.Sleep(24 * time.Hour)
		require.Equal(t, 1, ours.in.length())
		require.Zero(t, theirs.in.length(), "nobody is asked for a sign of life yet")

		close(l.opened)
		_, err = pending.Wait(t.Context())
		require.NoError(t, err)
		var silent *connection.KeepAliveError
		require.ErrorAs(t, c.Wait(), &silent)
	})
}

func TestCloseBeforeTheTransportIsOpened(t *testing.T) {
	ours, _ := pipe()
	c := connection.New(later{ours, nil}, nil)
	require.NoError(t, c.Close())
	require.NoError(t, c.Wait())
}
