package identity_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/userauth/identity"
)

func TestDSAIsRefused(t *testing.T) {
	dir := t.TempDir()
	for _, format := range []string{"PEM", "RFC4716"} {
		_, err := identity.Load(t.Context(), keygen(t, dir, format, "", "-t", "dsa", "-m", format), nil)
		require.ErrorContains(t, err, format+": DSA keys are not supported")
	}
}
