package hosttest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hosttest"
)

func TestKeysGoByTheirNames(t *testing.T) {
	require.Equal(t, hosttest.Key("host"), hosttest.Signer("host").PublicKey())
	require.Equal(t, hosttest.Key("host"), hosttest.Key("host"))
	require.NotEqual(t, hosttest.Key("host"), hosttest.Key("other"))
	require.Equal(t, ssh.KeyAlgoRSA, hosttest.RSA().PublicKey().Type())
	require.Equal(t, ssh.KeyAlgoECDSA256, hosttest.ECDSA().PublicKey().Type())
}

func TestCertificateIsGoodUnlessChanged(t *testing.T) {
	var checker ssh.CertChecker
	require.NoError(t, checker.CheckCert("host.example", hosttest.Certificate(hosttest.Signer("ca"), nil)))
	changed := hosttest.Certificate(hosttest.Signer("ca"), func(c *ssh.Certificate) { c.ValidBefore = 1 })
	require.Error(t, checker.CheckCert("host.example", changed))
}
