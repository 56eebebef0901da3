package knownhosts_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hosttest"
)

var (
	signer      = hosttest.Signer
	key         = hosttest.Key
	rsaSigner   = hosttest.RSA
	ecdsaSigner = hosttest.ECDSA
	text        = hosttest.Text
	certificate = hosttest.Certificate
	write       = hosttest.Write
	read        = hosttest.Read
	find        = hosttest.Find
	lock        = hosttest.Lock
)

func verify(tb testing.TB, d *knownhosts.DB, addr string, k ssh.PublicKey) error {
	return d.VerifyHostKey(tb.Context(), addr, nil, k)
}

// requireKind checks the kind of a refusal; zero means no refusal.
func requireKind(tb testing.TB, want knownhosts.Kind, err error) {
	tb.Helper()
	if want == 0 {
		require.NoError(tb, err)
		return
	}
	var refusal *knownhosts.KeyError
	require.ErrorAs(tb, err, &refusal)
	require.Equal(tb, want, refusal.Kind, err)
}

func load(tb testing.TB, files ...string) *knownhosts.DB {
	tb.Helper()
	d, err := knownhosts.Load(files...)
	require.NoError(tb, err)
	return d
}
