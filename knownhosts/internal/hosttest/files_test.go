package hosttest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hosttest"
)

func TestFindAsksSSHKeygen(t *testing.T) {
	content := "a,b " + hosttest.Text(hosttest.Key("host")) + "\n\nb " + hosttest.Text(hosttest.Key("other")) + "\n"
	file := hosttest.Write(t, content)
	require.Equal(t, content, hosttest.Read(t, file))
	require.Equal(t, []int{1, 3}, hosttest.Find(t, "b", file))
	require.Empty(t, hosttest.Find(t, "c", file))
}
