package userauth_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

func TestSingleKeyIsSignedAtOnceAndSeveralAreAskedAbout(t *testing.T) {
	a, b, c := ed25519Signer(t), ed25519Signer(t), ed25519Signer(t)
	for name, tc := range map[string]struct {
		keys   []ssh.Signer
		accept ssh.Signer
		want   []string
	}{
		"one":              {[]ssh.Signer{a}, a, []string{"sign ssh-ed25519"}},
		"first of three":   {[]ssh.Signer{a, b, c}, a, []string{"query ssh-ed25519", "sign ssh-ed25519"}},
		"last of three":    {[]ssh.Signer{a, b, c}, c, []string{"query ssh-ed25519", "query ssh-ed25519", "sign ssh-ed25519"}},
		"each key once":    {[]ssh.Signer{a, a, b, a}, b, []string{"query ssh-ed25519", "sign ssh-ed25519"}},
		"one and its twin": {[]ssh.Signer{a, a}, a, []string{"sign ssh-ed25519"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := keyServer(t, tc.accept.PublicKey())
			require.NoError(t, authenticate(t, p, userauth.PublicKeys(tc.keys...)))
			require.Equal(t, tc.want, p.keyRequests(t))
		})
	}
}

func TestKeysOfAllKindsSignWhatTheServerVerifies(t *testing.T) {
	for name, signer := range map[string]ssh.Signer{
		"ed25519":             ed25519Signer(t),
		"ecdsa":               ecdsaSigner(t),
		"rsa":                 rsaSigner(t),
		"plain ed25519":       plainSigner{ed25519Signer(t)},
		"ed25519 certificate": certSigner(t, ed25519Signer(t)),
		"ecdsa certificate":   certSigner(t, ecdsaSigner(t)),
		"rsa certificate":     certSigner(t, rsaSigner(t)),
	} {
		t.Run(name, func(t *testing.T) {
			p := keyServer(t, signer.PublicKey())
			require.NoError(t, authenticate(t, p, userauth.PublicKeys(signer)))
			p = keyServer(t, signer.PublicKey())
			require.NoError(t, authenticate(t, p, userauth.PublicKeys(signer, ed25519Signer(t))))
		})
	}
}

// A11
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

// fakeKey is a key of a type of one's choice.
type fakeKey struct {
	typ  string
	blob []byte
}

func (k fakeKey) Type() string                        { return k.typ }
func (k fakeKey) Marshal() []byte                     { return k.blob }
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

func TestKeyTypeThatNobodyKnowsIsOfferedAsItIs(t *testing.T) {
	key := fakeKey{"new@example.com", []byte("\x00\x00\x00\x0fnew@example.com")}
	signer := plainSigner{fakeSigner{key, func([]byte, string) (*ssh.Signature, error) {
		return &ssh.Signature{Format: "new@example.com", Blob: []byte("signed")}, nil
	}}}
	p := verdicts(success)
	require.NoError(t, authenticate(t, p, userauth.PublicKeys(signer)))
	require.Equal(t, []string{"sign new@example.com"}, p.keyRequests(t))
}

// A14
func TestSignerThatFailsGivesWayToTheNextKey(t *testing.T) {
	broken := errors.New("card removed")
	rsaKey, good := rsaSigner(t), ed25519Signer(t)
	for name, sign := range map[string]func(data []byte, algorithm string) (*ssh.Signature, error){
		"error":   func([]byte, string) (*ssh.Signature, error) { return nil, broken },
		"nothing": func([]byte, string) (*ssh.Signature, error) { return nil, nil },
		"SHA-1":   func(data []byte, _ string) (*ssh.Signature, error) { return rsaKey.Sign(rand.Reader, data) },
		"other hash": func(data []byte, _ string) (*ssh.Signature, error) {
			return rsaKey.SignWithAlgorithm(rand.Reader, data, "rsa-sha2-256")
		},
		"other data": func(_ []byte, a string) (*ssh.Signature, error) {
			return rsaKey.SignWithAlgorithm(rand.Reader, []byte("x"), a)
		},
		"other key": func(data []byte, _ string) (*ssh.Signature, error) { return good.Sign(rand.Reader, data) },
	} {
		t.Run(name, func(t *testing.T) {
			bad := fakeSigner{rsaKey.PublicKey(), sign}
			p := keyServer(t, rsaKey.PublicKey(), good.PublicKey())
			require.NoError(t, authenticate(t, p, userauth.PublicKeys(bad, good)))
			require.Equal(t, []string{"query rsa-sha2-512", "sign ssh-ed25519"}, p.keyRequests(t))

			p = keyServer(t, rsaKey.PublicKey())
			e := requireError(t, authenticate(t, p, userauth.PublicKeys(bad)))
			require.Empty(t, p.written)
			require.Len(t, e.Tried, 1)
			require.ErrorContains(t, e, ssh.FingerprintSHA256(rsaKey.PublicKey()))
			require.ErrorContains(t, e, "signer: ")
			if name == "error" {
				require.ErrorIs(t, e, broken)
			}
		})
	}
}

// changing is a signer that has another key each time it is asked, and in the end
// none.
type changing struct {
	ssh.Signer
	keys []ssh.PublicKey
}

func (c *changing) PublicKey() (key ssh.PublicKey) {
	if len(c.keys) > 0 {
		key, c.keys = c.keys[0], c.keys[1:]
	}
	return key
}

func TestOddSignersArePassedOver(t *testing.T) {
	good := ed25519Signer(t)
	var odd []ssh.Signer
	odd = append(odd, nil, userauth.InsecureSHA1(nil), &changing{}, userauth.InsecureSHA1(&changing{}),
		&changing{good, []ssh.PublicKey{rsaSigner(t).PublicKey(), good.PublicKey()}})
	server := newKeyScript(t, []ssh.Signer{good}, "s")
	e := requireError(t, userauth.Authenticate(t.Context(), verdicts(failure("publickey")), &userauth.Config{
		User: "bob", Methods: []userauth.Method{userauth.PublicKeys(odd...)},
	}))
	require.Len(t, e.Tried, 5)
	for _, a := range e.Tried[:4] {
		require.ErrorContains(t, a.Err, "signer without a key")
	}
	require.ErrorContains(t, e.Tried[4].Err, "no safe algorithm")
	require.NoError(t, userauth.Authenticate(t.Context(), server, &userauth.Config{
		User: "bob", Methods: []userauth.Method{userauth.PublicKeys(append(odd, good)...)},
	}))
}

func TestAcceptanceOfAKeyMustEchoIt(t *testing.T) {
	a, b := rsaSigner(t), ed25519Signer(t)
	blob := a.PublicKey().Marshal()
	for name, tc := range map[string]struct {
		packet []byte
		ok     bool
	}{
		"echo":            {keyOK("rsa-sha2-512", blob), true},
		"type of the key": {keyOK("ssh-rsa", blob), true},
		"other algorithm": {keyOK("rsa-sha2-256", blob), false},
		"other key":       {keyOK("rsa-sha2-512", b.PublicKey().Marshal()), false},
		"cut short":       {keyOK("rsa-sha2-512", blob)[:20], false},
		"trailing bytes":  {append(keyOK("rsa-sha2-512", blob), 0), false},
	} {
		t.Run(name, func(t *testing.T) {
			p := verdicts(tc.packet, failure("publickey"))
			e := requireError(t, authenticate(t, p, userauth.PublicKeys(a, b)))
			var protocol *userauth.ProtocolError
			if tc.ok {
				require.Equal(t, "sign rsa-sha2-512", p.keyRequests(t)[1])
				return
			}
			require.ErrorAs(t, e, &protocol)
			require.Equal(t, []string{"query rsa-sha2-512", "sign ssh-ed25519"}, p.keyRequests(t))
		})
	}
}

func TestKeyAcceptedTwiceOverIsAProtocolError(t *testing.T) {
	a := ed25519Signer(t)
	ok := keyOK("ssh-ed25519", a.PublicKey().Marshal())
	p := verdicts(ok, ok, success)
	e := requireError(t, authenticate(t, p, userauth.PublicKeys(a, ed25519Signer(t)), other{}))
	var protocol *userauth.ProtocolError
	require.ErrorAs(t, e, &protocol)
	require.Len(t, p.written, 2)
}

func TestKeysGoOnAfterAPartialSuccess(t *testing.T) {
	a, b := ed25519Signer(t), ed25519Signer(t)
	p := verdicts(keyOK("ssh-ed25519", a.PublicKey().Marshal()), partial("publickey"), success)
	require.NoError(t, authenticate(t, p, userauth.PublicKeys(a, b)))
	requireSignature(t, p.written[1], a.PublicKey())
	requireSignature(t, p.written[2], b.PublicKey())
}

func TestKeysAreSparedWhenTheMethodIsNotAllowed(t *testing.T) {
	p := verdicts(failure("password"))
	e := requireError(t, authenticate(t, p, userauth.PublicKeys(ed25519Signer(t), ed25519Signer(t), ed25519Signer(t))))
	require.Equal(t, []string{"publickey: refused, for the server does not allow it at this point"}, results(e))
}

func TestKeyThatTwoMethodsHaveIsJudgedOnce(t *testing.T) {
	a, b := ed25519Signer(t), ed25519Signer(t)
	p := keyServer(t, b.PublicKey())
	require.NoError(t, authenticate(t, p, userauth.PublicKeys(a), userauth.PublicKeys(a, b)))
	require.Equal(t, []string{"sign ssh-ed25519", "sign ssh-ed25519"}, p.keyRequests(t))
}

func TestKeysFuncIsCalledOnceAndMayDecline(t *testing.T) {
	a := ed25519Signer(t)
	calls := 0
	f := func(context.Context) ([]ssh.Signer, error) { calls++; return []ssh.Signer{a}, nil }
	p := verdicts(partial("publickey", "password"), partial("publickey"))
	requireError(t, authenticate(t, p, userauth.PublicKeysFunc(f), userauth.Password("x")))
	require.Equal(t, 1, calls)

	broken := errors.New("no such file")
	e := requireError(t, authenticate(t, verdicts(), userauth.PublicKeysFunc(func(context.Context) ([]ssh.Signer, error) {
		return nil, broken
	}), other{}))
	require.ErrorIs(t, e, broken)
}

// A10
func TestSignatureIsBoundToTheSession(t *testing.T) {
	a := ed25519Signer(t)
	p := keyServer(t, a.PublicKey())
	require.NoError(t, authenticate(t, p, userauth.PublicKeys(a)))
	var k keyRequest
	require.NoError(t, ssh.Unmarshal(p.requests(t)[0].Payload, &k))
	var s struct{ Signature []byte }
	require.NoError(t, ssh.Unmarshal(k.Rest, &s))
	var signature ssh.Signature
	require.NoError(t, ssh.Unmarshal(s.Signature, &signature))

	signed := ssh.Marshal(struct {
		Session []byte
		Rest    []byte `ssh:"rest"`
	}{[]byte("another session"), p.written[0][:len(p.written[0])-len(k.Rest)]})
	require.Error(t, a.PublicKey().Verify(signed, &signature))
}

func TestErrorNamesTheKeyInACertificate(t *testing.T) {
	signer := ed25519Signer(t)
	e := requireError(t, authenticate(t, keyServer(t), userauth.PublicKeys(certSigner(t, signer))))
	require.ErrorContains(t, e, "publickey ssh-ed25519-cert-v01@openssh.com "+ssh.FingerprintSHA256(signer.PublicKey())+": refused")
}
