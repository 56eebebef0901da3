package identity_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

const skApplication = "ssh:"

// token is a security key made of software, OpenSSH PROTOCOL.u2f.
type token struct {
	public  ssh.PublicKey
	sign    func(data []byte) []byte
	touched bool // a person touches the token
	counter uint32
}

func ed25519Token(t *testing.T) *token {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return &token{touched: true, public: skKey(t, struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, skApplication}), sign: func(data []byte) []byte { return ed25519.Sign(private, data) }}
}

func ecdsaToken(t *testing.T) *token {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	point, err := private.PublicKey.Bytes()
	require.NoError(t, err)
	return &token{touched: true, public: skKey(t, struct {
		Type, Curve string
		Point       []byte
		Application string
	}{ssh.KeyAlgoSKECDSA256, "nistp256", point, skApplication}), sign: func(data []byte) []byte {
		digest := sha256.Sum256(data)
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			return nil
		}
		return ssh.Marshal(struct{ R, S *big.Int }{r, s})
	}}
}

func skKey(t *testing.T, fields any) ssh.PublicKey {
	key, err := ssh.ParsePublicKey(ssh.Marshal(fields))
	require.NoError(t, err)
	return key
}

func (k *token) PublicKey() ssh.PublicKey { return k.public }

func (k *token) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	application, message := sha256.Sum256([]byte(skApplication)), sha256.Sum256(data)
	k.counter++
	tail := struct {
		Flags   byte
		Counter uint32
	}{0, k.counter}
	if k.touched {
		tail.Flags = 1
	}
	signed := ssh.Marshal(struct {
		Application []byte `ssh:"rest"`
	}{application[:]})
	signed = append(signed, ssh.Marshal(tail)...)
	return &ssh.Signature{Format: k.public.Type(), Blob: k.sign(append(signed, message[:]...)), Rest: ssh.Marshal(tail)}, nil
}

// tokens is an agent for security keys.
type tokens struct {
	agent.ExtendedAgent
	all []*token
}

func (a tokens) List() (keys []*agent.Key, err error) {
	for _, k := range a.all {
		keys = append(keys, &agent.Key{Format: k.public.Type(), Blob: k.public.Marshal()})
	}
	return keys, nil
}

func (a tokens) SignWithFlags(key ssh.PublicKey, data []byte, _ agent.SignatureFlags) (*ssh.Signature, error) {
	for _, k := range a.all {
		if string(k.public.Marshal()) == string(key.Marshal()) {
			return k.Sign(nil, data)
		}
	}
	return nil, errNobody
}

func TestSecurityKeysLogInToOpenSSH(t *testing.T) {
	for name, k := range map[string]*token{"ed25519": ed25519Token(t), "ecdsa": ecdsaToken(t)} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{k.public}})
			_, err := login(t.Context(), s, userauth.PublicKeys(k))
			require.NoError(t, err)

			inAgent := identity.InProcess(tokens{agent.NewKeyring().(agent.ExtendedAgent), []*token{k}})
			tried, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: inAgent}))
			require.NoError(t, err)
			require.Len(t, tried, 1)

			k.touched = false
			_, err = login(t.Context(), s, identity.Method(&identity.Config{Agent: inAgent}))
			require.ErrorContains(t, err, k.public.Type()+" "+ssh.FingerprintSHA256(k.public)+": refused")
		})
	}
}

func TestCertificateOfASecurityKey(t *testing.T) {
	k, ca := ed25519Token(t), sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{UserCA: ca.PublicKey()})
	cert := &ssh.Certificate{Key: k.public, CertType: ssh.UserCert, ValidPrincipals: []string{s.User}, ValidBefore: ssh.CertTimeInfinity}
	require.NoError(t, cert.SignCert(rand.Reader, ca))
	signer, err := ssh.NewCertSigner(cert, k)
	require.NoError(t, err)
	_, err = login(t.Context(), s, userauth.PublicKeys(signer))
	require.NoError(t, err)
}

// The file is as written by ssh-keygen, without the data of the token.
func TestFileOfASecurityKeySelectsTheAgents(t *testing.T) {
	k, other := ecdsaToken(t), ed25519Token(t)
	file := opensshKey{"none", "none", nil, 1, k.public.Marshal(), []byte("a handle of the token's")}.pem()
	key, err := identity.Parse(t.Context(), "id_ecdsa_sk", file, nil)
	require.NoError(t, err)
	_, err = key.Sign(nil, nil)
	require.ErrorContains(t, err, "identity: id_ecdsa_sk: the private key is in a token, not in the file")

	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{k.public}})
	inAgent := identity.InProcess(tokens{agent.NewKeyring().(agent.ExtendedAgent), []*token{other, k}})
	tried, err := login(t.Context(), s, identity.Method(&identity.Config{Keys: []ssh.Signer{key}, Agent: inAgent, IdentitiesOnly: true}))
	require.NoError(t, err)
	require.Len(t, tried, 1)
	require.Zero(t, other.counter)

	// No token is touched in vain, not even the last.
	before := k.counter
	_, err = login(t.Context(), sshtest.OpenSSH(t, nil), identity.Method(&identity.Config{Agent: inAgent}))
	require.ErrorContains(t, err, "refused")
	require.Equal(t, before, k.counter)
}
