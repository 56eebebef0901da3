package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
)

func TestTaskRunsInAProcessOfItsOwn(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // of a second, for each process
	keys, public := newKeys(t, 1)
	l := newLogin(sshtest.NewServer(t, &sshtest.Options{AuthorizedKeys: public}), keys)
	u, err := (&task{Kind: taskRun, Client: clientNacre, Login: l, Command: "true"}).start(t.Context(), nil, nil)
	require.NoError(t, err)
	require.Positive(t, u.Mallocs)
	require.Positive(t, u.cpu)

	_, err = (&task{Kind: taskRun, Client: clientNacre, Login: l, Command: "exit 3"}).start(t.Context(), nil, nil)
	require.ErrorContains(t, err, "status 3")
	_, err = (&task{Kind: "x", Client: clientNacre, Login: l}).start(t.Context(), nil, nil)
	require.ErrorContains(t, err, `unknown task "x"`)
}
