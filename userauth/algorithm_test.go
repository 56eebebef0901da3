package userauth_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth"
)

// withAlgorithms returns an RSA signer limited to the algorithms.
func withAlgorithms(t testing.TB, algorithms ...string) ssh.Signer {
	s, err := ssh.NewSignerWithAlgorithms(rsaSigner(t), algorithms)
	require.NoError(t, err)
	return s
}

// sha1Server is a server of RSA before SHA-2, or a server whose list comes with
// the first answer.
func sha1Server(t testing.TB, list string, key ssh.PublicKey) *peer {
	var p *peer
	p = newPeer(func(packet []byte) [][]byte {
		if list != "" {
			p.extensions["server-sig-algs"] = []byte(list)
		}
		var r request
		require.NoError(t, ssh.Unmarshal(packet, &r))
		var k keyRequest
		require.NoError(t, ssh.Unmarshal(r.Payload, &k))
		if k.Algorithm != "ssh-rsa" && k.Algorithm != "ssh-rsa-cert-v01@openssh.com" {
			return [][]byte{failure("publickey")}
		}
		requireSignature(t, packet, key)
		return [][]byte{success}
	})
	return p
}

// A11: RSA signs with SHA-1 only on demand.
func TestSHA1IsUsedOnlyWhereItIsNamedInsecureAndNothingBetterIsTaken(t *testing.T) {
	for name, tc := range map[string]struct {
		signer ssh.Signer
		list   string
		want   []string
		in     bool
	}{
		"not named":            {rsaSigner(t), "", []string{"sign rsa-sha2-512"}, false},
		"not named, listed":    {rsaSigner(t), "ssh-rsa", []string{"sign rsa-sha2-512"}, false},
		"no list":              {userauth.InsecureSHA1(rsaSigner(t)), "", []string{"sign rsa-sha2-512", "sign ssh-rsa"}, true},
		"listed":               {userauth.InsecureSHA1(rsaSigner(t)), "ssh-rsa,ssh-dss", []string{"sign rsa-sha2-512", "sign ssh-rsa"}, true},
		"SHA-2 listed":         {userauth.InsecureSHA1(rsaSigner(t)), "ssh-rsa,rsa-sha2-512", []string{"sign rsa-sha2-512"}, false},
		"not listed":           {userauth.InsecureSHA1(rsaSigner(t)), "ssh-ed25519", []string{"sign rsa-sha2-512"}, false},
		"signer without SHA-2": {userauth.InsecureSHA1(withAlgorithms(t, "ssh-rsa")), "", []string{"sign ssh-rsa"}, true},
		"signer without SHA-1": {userauth.InsecureSHA1(withAlgorithms(t, "rsa-sha2-256")), "", []string{"sign rsa-sha2-256"}, false},
		"plain signer":         {userauth.InsecureSHA1(plainSigner{rsaSigner(t)}), "", []string{"sign ssh-rsa"}, true},
		"certificate": {userauth.InsecureSHA1(certSigner(t, rsaSigner(t))), "",
			[]string{"sign rsa-sha2-512-cert-v01@openssh.com", "sign ssh-rsa-cert-v01@openssh.com"}, true},
		"ed25519": {userauth.InsecureSHA1(ed25519Signer(t)), "", []string{"sign ssh-ed25519"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := sha1Server(t, tc.list, tc.signer.PublicKey())
			require.Equal(t, tc.in, authenticate(t, p, userauth.PublicKeys(tc.signer)) == nil)
			require.Equal(t, tc.want, p.keyRequests(t))
		})
	}
}

func TestOpenSSHThatTakesSomeAlgorithmsOnly(t *testing.T) {
	ca, rsa := ed25519Signer(t), rsaSigner(t)
	type signerFor func(*sshtest.Server) ssh.Signer
	plain := func(*sshtest.Server) ssh.Signer { return rsa }
	only := func(algorithm string) signerFor {
		return func(*sshtest.Server) ssh.Signer { return withAlgorithms(t, algorithm) }
	}
	cert := func(f signerFor) signerFor {
		return func(s *sshtest.Server) ssh.Signer { return sshtest.NewCertSigner(t, ca, f(s), ssh.UserCert, s.User) }
	}
	insecure := func(f signerFor) signerFor {
		return func(s *sshtest.Server) ssh.Signer { return userauth.InsecureSHA1(f(s)) }
	}
	for name, tc := range map[string]struct {
		takes  string
		signer signerFor
		in     bool
	}{
		"512": {"rsa-sha2-512", plain, true},
		// OpenSSH lists all algorithms it knows, beyond those of its configuration,
		// and refuses its own client as well.
		"256":                       {"rsa-sha2-256", plain, false},
		"256, and the signer can":   {"rsa-sha2-256", only("rsa-sha2-256"), true},
		"256, and the signer can't": {"rsa-sha2-256", only("rsa-sha2-512"), false},
		"SHA-1":                     {"ssh-rsa", plain, false},
		"SHA-1, insecure":           {"ssh-rsa", insecure(plain), false},
		"SHA-1, insecure, only":     {"ssh-rsa", insecure(only("ssh-rsa")), true},
		"SHA-1, only":               {"ssh-rsa", only("ssh-rsa"), false},
		"default, insecure":         {"+rsa-sha2-512", insecure(plain), true},
		"certificate, 512":          {"rsa-sha2-512-cert-v01@openssh.com", cert(plain), true},
		"certificate, 256":          {"rsa-sha2-256-cert-v01@openssh.com", cert(only("rsa-sha2-256")), true},
		"certificate, SHA-1":        {"ssh-rsa-cert-v01@openssh.com", cert(plain), false},
		"certificate, insecure":     {"ssh-rsa-cert-v01@openssh.com", insecure(cert(only("ssh-rsa"))), true},
		"no RSA":                    {"ssh-ed25519", insecure(plain), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{
				AuthorizedKeys: []ssh.PublicKey{rsa.PublicKey()}, UserCA: ca.PublicKey(),
				Config: []string{"PubkeyAcceptedAlgorithms " + tc.takes},
			})
			for _, others := range [][]ssh.Signer{nil, {ed25519Signer(t)}} {
				err := userauth.Authenticate(t.Context(), connect(t, s), &userauth.Config{
					User: s.User, Methods: []userauth.Method{userauth.PublicKeys(append(others, tc.signer(s))...)},
				})
				require.Equal(t, tc.in, err == nil, "%v", err)
				if name == "default, insecure" {
					require.NotContains(t, s.Log(), "ssh-rsa ")
				}
			}
		})
	}
}

// A11: the algorithm follows server-sig-algs.
func TestAlgorithmChoice(t *testing.T) {
	restricted := func(algorithms ...string) ssh.Signer {
		s, err := ssh.NewSignerWithAlgorithms(rsaSigner(t), algorithms)
		require.NoError(t, err)
		return s
	}
	for name, tc := range map[string]struct {
		signer ssh.Signer
		list   string // "-" when the server sends none
		want   string // "" when the key is passed over
	}{
		"no list":                       {rsaSigner(t), "-", "rsa-sha2-512"},
		"both":                          {rsaSigner(t), "ssh-rsa,rsa-sha2-256,rsa-sha2-512", "rsa-sha2-512"},
		"256 only":                      {rsaSigner(t), "ssh-ed25519,rsa-sha2-256", "rsa-sha2-256"},
		"SHA-1 only":                    {rsaSigner(t), "ssh-rsa", "rsa-sha2-512"},
		"none of ours":                  {rsaSigner(t), "ssh-ed25519", "rsa-sha2-512"},
		"empty list":                    {rsaSigner(t), "", "rsa-sha2-512"},
		"NUL in the list":               {rsaSigner(t), "rsa-sha2-256\x00,rsa-sha2-256", "rsa-sha2-256"},
		"signer can 256":                {restricted("rsa-sha2-256"), "rsa-sha2-512,rsa-sha2-256", "rsa-sha2-256"},
		"signer can 256, none listed":   {restricted("rsa-sha2-256"), "-", "rsa-sha2-256"},
		"signer can SHA-1":              {restricted("ssh-rsa"), "ssh-rsa", ""},
		"plain signer":                  {plainSigner{rsaSigner(t)}, "-", ""},
		"certificate":                   {certSigner(t, rsaSigner(t)), "-", "rsa-sha2-512-cert-v01@openssh.com"},
		"certificate, 256 only":         {certSigner(t, rsaSigner(t)), "rsa-sha2-256", "rsa-sha2-256-cert-v01@openssh.com"},
		"certificate, listed by name":   {certSigner(t, rsaSigner(t)), "rsa-sha2-256-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com"},
		"certificate of a plain signer": {certSigner(t, plainSigner{rsaSigner(t)}), "-", ""},
		"certificate of a SHA-1 signer": {certSigner(t, restricted("ssh-rsa")), "-", ""},
		"ed25519":                       {ed25519Signer(t), "rsa-sha2-256,ssh-ed25519", "ssh-ed25519"},
		"ed25519 not listed":            {ed25519Signer(t), "rsa-sha2-256", "ssh-ed25519"},
		"ed25519 certificate":           {certSigner(t, ed25519Signer(t)), "ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"},
		"DSA":                           {fakeSigner{key: fakeKey{"ssh-dss", nil}}, "ssh-dss", ""},
		"DSA certificate":               {fakeSigner{key: fakeKey{"ssh-dss-cert-v01@openssh.com", nil}}, "-", ""},
		"type that is not a name":       {fakeSigner{key: fakeKey{"a,b", nil}}, "-", ""},
		"key too large for a message":   {fakeSigner{key: fakeKey{"big@example.com", make([]byte, 25<<10)}}, "-", ""},
		"nil signer":                    {nil, "-", ""},
		"signer without a key":          {fakeSigner{}, "-", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var p *peer
			if tc.want != "" {
				p = keyServer(t, tc.signer.PublicKey())
			} else {
				p = verdicts()
			}
			if tc.list != "-" {
				p.extensions["server-sig-algs"] = []byte(tc.list)
			}
			err := authenticate(t, p, userauth.PublicKeys(tc.signer))
			if tc.want != "" {
				require.NoError(t, err)
				require.Equal(t, []string{"sign " + tc.want}, p.keyRequests(t))
				return
			}
			e := requireError(t, err)
			require.Len(t, e.Tried, 1)
			require.ErrorIs(t, e.Tried[0].Err, userauth.ErrSkip)
			require.Empty(t, p.written)
		})
	}
}

// fakeKey is a key of any type.
type fakeKey struct {
	typ  string
	blob []byte
}

func (k fakeKey) Type() string { return k.typ }

func (k fakeKey) Marshal() []byte { return k.blob }

func (k fakeKey) Verify([]byte, *ssh.Signature) error { return errors.New("not verified") }

func TestListThatArrivesWithTheRefusalIsHeeded(t *testing.T) {
	signer := rsaSigner(t)
	var p *peer
	p = newPeer(func(packet []byte) [][]byte {
		if len(p.written) == 1 {
			p.extensions["server-sig-algs"] = []byte("rsa-sha2-256")
			return [][]byte{failure("publickey")}
		}
		requireSignature(t, packet, signer.PublicKey())
		return [][]byte{success}
	})
	require.NoError(t, authenticate(t, p, userauth.PublicKeys(signer)))
	require.Equal(t, []string{"sign rsa-sha2-512", "sign rsa-sha2-256"}, p.keyRequests(t))
}
