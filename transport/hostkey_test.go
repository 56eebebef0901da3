package transport_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// recorder is a verifier that accepts everything and remembers its calls.
type recorder struct {
	calls  []verification
	prefer []string
	err    error
}

type verification struct {
	ctx    context.Context
	addr   string
	remote net.Addr
	key    ssh.PublicKey
}

func (r *recorder) VerifyHostKey(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error {
	r.calls = append(r.calls, verification{ctx, addr, remote, key})
	return r.err
}

type preferrer struct{ recorder }

func (p *preferrer) HostKeyAlgorithms(string) []string { return p.prefer }

type contextKey struct{}

func TestVerifierIsCalledOnceForAConnection(t *testing.T) {
	r := new(recorder)
	c := client(t, transport.Config{HostKey: r, Addr: "pearl:2222"}, func(p *wire.Peer) {
		p.Handshake()
		p.Exchange()
		p.Exchange()
		p.Send([]byte{80})
		p.Drain()
	})
	require.NoError(t, c.Handshake(context.WithValue(t.Context(), contextKey{}, "nacre")))
	_, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, 3, c.State().Exchanges)
	require.Len(t, r.calls, 1)
	call := r.calls[0]
	require.Equal(t, "pearl:2222", call.addr)
	require.Equal(t, c.RemoteAddr(), call.remote)
	require.Equal(t, hostKey().PublicKey().Marshal(), call.key.Marshal())
	require.Equal(t, "nacre", call.ctx.Value(contextKey{}))
	require.Error(t, call.ctx.Err(), "it ends with the handshake")
}

func TestVerifierRefuses(t *testing.T) {
	mine := errors.New("who is \x1b that?")
	farewell := make(chan *wire.DisconnectMsg, 1)
	c := client(t, transport.Config{HostKey: &recorder{err: mine}, Addr: "pearl:22"}, func(p *wire.Peer) {
		defer func() { farewell <- p.Drain() }()
		p.Handshake()
	})
	err := c.Handshake(t.Context())
	var refusal *transport.HostKeyError
	require.ErrorAs(t, err, &refusal)
	require.ErrorIs(t, err, mine)
	require.Equal(t, "pearl:22", refusal.Addr)
	require.Equal(t, hostKey().PublicKey().Marshal(), refusal.Key.Marshal())
	require.ErrorContains(t, err, ssh.FingerprintSHA256(hostKey().PublicKey()))
	requireEnded(t, c, err)
	_, err = c.ReadPacket()
	require.ErrorIs(t, err, mine)
	require.Equal(t, &wire.DisconnectMsg{Reason: 9, Message: "host key not accepted"}, <-farewell)
}

// The verifier may wait for a user, until the context ends.
func TestVerifierThatWaits(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := client(t, transport.Config{HostKey: transport.HostKeyFunc(
		func(ctx context.Context, _ string, _ net.Addr, _ ssh.PublicKey) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		})}, func(p *wire.Peer) { p.Handshake() })
	err := c.Handshake(ctx)
	require.ErrorIs(t, err, context.Canceled)
	requireEnded(t, c, err)
}

// The end of the connection ends the verifier too, with its cause.
func TestVerifierLearnsWhyTheConnectionHasEnded(t *testing.T) {
	why := make(chan error, 1)
	var c *transport.Conn
	c = client(t, transport.Config{HostKey: transport.HostKeyFunc(
		func(ctx context.Context, _ string, _ net.Addr, _ ssh.PublicKey) error {
			_ = c.Close()
			<-ctx.Done()
			why <- context.Cause(ctx)
			return ctx.Err()
		})}, honest)
	require.ErrorIs(t, c.Handshake(t.Context()), net.ErrClosed)
	require.ErrorIs(t, <-why, net.ErrClosed)
}

// shows is a server that offers the algorithm for a key of any type.
func shows(key ssh.Signer, algorithm string) script {
	return func(p *wire.Peer) {
		p.HostKey = key
		p.KexInit = func(m *wire.KexInitMsg) { m.HostKey = []string{algorithm} }
	}
}

// replies is a server whose reply is changed behind the signature.
func replies(change func(m *wire.KexECDHReplyMsg)) script {
	return func(p *wire.Peer) { p.KexReply = change }
}

// unverified checks that a handshake fails before the verifier is asked.
func unverified(t *testing.T, tc transport.Config, lies script) error {
	t.Helper()
	r := new(recorder)
	tc.HostKey = r
	err := refused(t, tc, lies)
	require.Empty(t, r.calls)
	require.ErrorAs(t, err, new(*transport.HostKeyError))
	return err
}

// K14: the proof of possession comes before the verifier.
func TestBadHostKeySignature(t *testing.T) {
	other := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	for name, change := range map[string]func(m *wire.KexECDHReplyMsg){
		"flipped bit":          func(m *wire.KexECDHReplyMsg) { m.Signature[40] ^= 1 },
		"other data":           func(m *wire.KexECDHReplyMsg) { m.Public[0] ^= 1 },
		"empty":                func(m *wire.KexECDHReplyMsg) { m.Signature = nil },
		"empty inside":         func(m *wire.KexECDHReplyMsg) { m.Signature = signature(ssh.KeyAlgoED25519, nil) },
		"one byte":             func(m *wire.KexECDHReplyMsg) { m.Signature = []byte{0} },
		"trailing byte":        func(m *wire.KexECDHReplyMsg) { m.Signature = append(m.Signature, 0) },
		"trailing byte inside": func(m *wire.KexECDHReplyMsg) { m.Signature = signature(ssh.KeyAlgoED25519, make([]byte, 65)) },
		"zero":                 func(m *wire.KexECDHReplyMsg) { m.Signature = signature(ssh.KeyAlgoED25519, make([]byte, 64)) },
		"S plus the order":     func(m *wire.KexECDHReplyMsg) { addOrder(m.Signature[len(m.Signature)-32:]) },
		"other format":         func(m *wire.KexECDHReplyMsg) { m.Signature = signature("ssh-ed448", make([]byte, 64)) },
		"other key":            func(m *wire.KexECDHReplyMsg) { m.HostKey = other.PublicKey().Marshal() },
	} {
		t.Run(name, func(t *testing.T) {
			err := unverified(t, transport.Config{}, replies(change))
			require.ErrorIs(t, err, transport.ErrHostKeySignature)
		})
	}
}

// K14: ECDSA with r or s out of range.
func TestBadECDSASignature(t *testing.T) {
	key := sshtest.NewSigner(t, ssh.KeyAlgoECDSA256)
	n := new(big.Int).SetBytes(unhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"))
	one := big.NewInt(1)
	for _, bad := range []*big.Int{big.NewInt(0), n, new(big.Int).Add(n, one), big.NewInt(-1), new(big.Int).Lsh(one, 9000)} {
		for _, pair := range [][2]*big.Int{{bad, one}, {one, bad}, {bad, bad}} {
			err := unverified(t, transport.Config{}, func(p *wire.Peer) {
				p.HostKey = key
				p.KexReply = func(m *wire.KexECDHReplyMsg) {
					m.Signature = signature(ssh.KeyAlgoECDSA256, ssh.Marshal(struct{ R, S *big.Int }{pair[0], pair[1]}))
				}
			})
			require.ErrorIs(t, err, transport.ErrHostKeySignature)
		}
	}
}

func signature(format string, blob []byte) []byte {
	return ssh.Marshal(&ssh.Signature{Format: format, Blob: blob})
}

// addOrder adds the order of the group to a little-endian S: the non-canonical form,
// refused by RFC 8032 section 5.1.7.
func addOrder(s []byte) {
	order := unhex("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed")
	carry := 0
	for i := range s {
		carry += int(s[i]) + int(order[31-i])
		s[i] = byte(carry)
		carry >>= 8
	}
}

// K15: key and signature are of the negotiated kind.
func TestHostKeyOfAnotherKind(t *testing.T) {
	rsaKey := sshtest.NewSigner(t, ssh.KeyAlgoRSA)
	p384 := sshtest.NewSigner(t, ssh.KeyAlgoECDSA384)
	signs := func(offered, signed string) script {
		return func(p *wire.Peer) {
			shows(rsaKey, offered)(p)
			p.SignatureAlgorithm = signed
		}
	}
	renamed := bytes.Replace(p384.PublicKey().Marshal(), []byte("ecdsa-sha2-nistp384"), []byte("ecdsa-sha2-nistp256"), 1)
	for name, test := range map[string]struct {
		lies script
		says string
	}{
		"rsa-sha2-256 for rsa-sha2-512": {signs("rsa-sha2-512", "rsa-sha2-256"), `"rsa-sha2-256"`},
		"rsa-sha2-512 for rsa-sha2-256": {signs("rsa-sha2-256", "rsa-sha2-512"), `"rsa-sha2-512"`},
		"SHA-1 for rsa-sha2-512":        {signs("rsa-sha2-512", "ssh-rsa"), `"ssh-rsa"`},
		"nistp384 for nistp256":         {shows(p384, "ecdsa-sha2-nistp256"), "negotiated"},
		"RSA for ed25519":               {shows(rsaKey, "ssh-ed25519"), "negotiated"},
		"plain key for a certificate":   {shows(hostKey(), "ssh-ed25519-cert-v01@openssh.com"), "negotiated"},
		"curve that its name denies": {func(p *wire.Peer) {
			shows(hostKey(), "ecdsa-sha2-nistp256")(p)
			p.KexReply = func(m *wire.KexECDHReplyMsg) { m.HostKey = renamed }
		}, ""},
		"certificate for a plain key": {
			shows(sshtest.NewCertSigner(t, rsaKey, hostKey(), ssh.HostCert, "x"), "ssh-ed25519"), "negotiated",
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, unverified(t, transport.Config{}, test.lies), test.says)
		})
	}
}

func TestMalformedHostKey(t *testing.T) {
	good := hostKey().PublicKey().Marshal()
	for n := range good {
		unverified(t, transport.Config{}, replies(func(m *wire.KexECDHReplyMsg) { m.HostKey = m.HostKey[:n] }))
	}
	for _, blob := range [][]byte{append(bytes.Clone(good), 0), []byte(strings.Repeat("\xff", 1000)), ssh.Marshal(struct{ N string }{"ssh-dss"})} {
		unverified(t, transport.Config{}, replies(func(m *wire.KexECDHReplyMsg) { m.HostKey = blob }))
	}
}

// K16: RSA keys that are too small, too large or no keys.
func TestWeakAndAbsurdRSAKeys(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	key, err := ssh.NewSignerFromSigner(weak)
	require.NoError(t, err)
	lie := func(p *wire.Peer) { p.HostKey, p.SignatureAlgorithm = key, "rsa-sha2-256" }

	require.ErrorContains(t, unverified(t, transport.Config{}, lie), "RSA key of 1024 bits, less than 2048")
	connected(t, transport.Config{InsecureRSABits: 1024, HostKey: transport.FixedHostKey(key.PublicKey())}, lie, drain)
	unverified(t, transport.Config{InsecureRSABits: 1025}, lie)

	authority := sshtest.NewCertSigner(t, key, sshtest.NewSigner(t, ssh.KeyAlgoED25519), ssh.HostCert, "x")
	err = unverified(t, transport.Config{}, func(p *wire.Peer) { p.HostKey = authority })
	require.ErrorContains(t, err, "certificate authority: RSA key of 1024 bits")

	shift := func(n uint) *big.Int { return new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), n), big.NewInt(1)) }
	for name, number := range map[string]struct{ e, n *big.Int }{
		"e of 1":          {big.NewInt(1), shift(2048)},
		"even e":          {big.NewInt(65536), shift(2048)},
		"e of 0":          {big.NewInt(0), shift(2048)},
		"negative e":      {big.NewInt(-3), shift(2048)},
		"huge e":          {shift(2047), shift(2048)},
		"16385 bits":      {big.NewInt(65537), shift(16385)},
		"200000 bits":     {big.NewInt(65537), shift(200000)},
		"even modulus":    {big.NewInt(65537), new(big.Int).Lsh(shift(2047), 1)},
		"modulus of 0":    {big.NewInt(65537), big.NewInt(0)},
		"negative number": {big.NewInt(65537), new(big.Int).Neg(shift(2048))},
	} {
		t.Run(name, func(t *testing.T) {
			unverified(t, transport.Config{}, func(p *wire.Peer) {
				lie(p)
				p.KexReply = func(m *wire.KexECDHReplyMsg) {
					m.HostKey = ssh.Marshal(struct {
						Name string
						E, N *big.Int
					}{"ssh-rsa", number.e, number.n})
				}
			})
		})
	}
}

func TestFixedHostKeyAcceptsNoOther(t *testing.T) {
	other := sshtest.NewSigner(t, ssh.KeyAlgoED25519).PublicKey()
	connected(t, transport.Config{HostKey: transport.FixedHostKey(other, hostKey().PublicKey())}, nil, drain)
	for _, v := range []transport.HostKeyVerifier{transport.FixedHostKey(other), transport.FixedHostKey()} {
		err := refused(t, transport.Config{HostKey: v}, nil)
		require.ErrorAs(t, err, new(*transport.HostKeyError))
		require.ErrorContains(t, err, "the key is not among the fixed host keys")
	}
}

// K18: another host key in a re-exchange.
func TestHostKeyThatChangesInAReexchange(t *testing.T) {
	for name, key := range map[string]ssh.Signer{
		"same type":    sshtest.NewSigner(t, ssh.KeyAlgoED25519),
		"another type": sshtest.NewSigner(t, ssh.KeyAlgoECDSA256),
		"certificate":  sshtest.NewCertSigner(t, hostKey(), hostKey(), ssh.HostCert, "x"),
	} {
		t.Run(name, func(t *testing.T) {
			r := new(recorder)
			c := connected(t, transport.Config{HostKey: r}, nil, func(p *wire.Peer) {
				shows(key, ssh.KeyAlgoED25519)(p)
				p.Exchange()
				p.Send([]byte{80})
				p.Drain()
			})
			_, err := c.ReadPacket()
			require.ErrorAs(t, err, new(*transport.HostKeyError))
			require.Len(t, r.calls, 1)
			require.Equal(t, hostKey().PublicKey().Marshal(), c.State().HostKey.Marshal())
			requireEnded(t, c, err)
		})
	}
	t.Run("other algorithm", func(t *testing.T) {
		c := connected(t, transport.Config{}, nil, func(p *wire.Peer) {
			shows(hostKey(), ssh.KeyAlgoECDSA256)(p)
			p.Exchange()
		})
		_, err := c.ReadPacket()
		require.ErrorAs(t, err, new(*transport.NegotiationError))
		requireEnded(t, c, err)
	})
}

// securityKey signs as a FIDO authenticator would (OpenSSH PROTOCOL.u2f), in
// software. flags says whether somebody has touched it.
type securityKey struct {
	private crypto.Signer
	public  ssh.PublicKey
	flags   byte
}

const application = "ssh:"

func newSecurityKey(t *testing.T, keyType string, flags byte) ssh.Signer {
	t.Helper()
	var private crypto.Signer
	var blob []byte
	if keyType == ssh.KeyAlgoSKED25519 {
		public, key, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)
		private = key
		blob = ssh.Marshal(struct {
			Type        string
			Key         []byte
			Application string
		}{keyType, public, application})
	} else {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		point, err := key.PublicKey.Bytes()
		require.NoError(t, err)
		private = key
		blob = ssh.Marshal(struct {
			Type, Curve string
			Key         []byte
			Application string
		}{keyType, "nistp256", point, application})
	}
	public, err := ssh.ParsePublicKey(blob)
	require.NoError(t, err)
	return &securityKey{private, public, flags}
}

func (k *securityKey) PublicKey() ssh.PublicKey { return k.public }

func (k *securityKey) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	rest := []byte{k.flags, 0, 0, 0, 9} // and the authenticator's counter
	app, message := sha256.Sum256([]byte(application)), sha256.Sum256(data)
	signed := append(append(app[:], rest...), message[:]...)
	if _, ok := k.private.(ed25519.PrivateKey); ok {
		blob, err := k.private.Sign(random, signed, crypto.Hash(0))
		return &ssh.Signature{Format: k.public.Type(), Blob: blob, Rest: rest}, err
	}
	digest := sha256.Sum256(signed)
	r, s, err := ecdsa.Sign(random, k.private.(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		return nil, err
	}
	blob := ssh.Marshal(struct{ R, S *big.Int }{r, s})
	return &ssh.Signature{Format: k.public.Type(), Blob: blob, Rest: rest}, nil
}

func TestSecurityKeysAsHostKeys(t *testing.T) {
	ca := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	for _, keyType := range []string{ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256} {
		touched, untouched := newSecurityKey(t, keyType, 1), newSecurityKey(t, keyType, 0)
		for name, key := range map[string]ssh.Signer{
			keyType:             touched,
			"certificate of it": sshtest.NewCertSigner(t, ca, touched, ssh.HostCert, "host"),
		} {
			t.Run(keyType+"/"+name, func(t *testing.T) {
				algorithm := key.PublicKey().Type()
				tc := transport.Config{HostKey: transport.FixedHostKey(key.PublicKey())}
				c := connected(t, tc, shows(key, algorithm), drain)
				require.Equal(t, algorithm, c.State().HostKeyAlgorithm)
				require.Equal(t, key.PublicKey().Marshal(), c.State().HostKey.Marshal())
			})
		}
		t.Run(keyType+"/untouched", func(t *testing.T) {
			tc := transport.Config{HostKey: transport.FixedHostKey(untouched.PublicKey())}
			require.ErrorIs(t, refused(t, tc, shows(untouched, keyType)), transport.ErrHostKeySignature)
		})
	}
}
