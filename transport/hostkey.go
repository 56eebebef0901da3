package transport

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"

	"golang.org/x/crypto/ssh"
)

// A HostKeyVerifier decides whether a host key is that of the server that the
// user means. An error ends the handshake, wrapped in a [*HostKeyError].
//
// It is called once for each connection, after the server has proven that it
// holds the private key and before anything secret is sent. addr is
// Config.Addr, remote the address of the connection below. The key is a
// *ssh.Certificate if the server has shown one, of which nothing but the proof
// of possession has been checked. ctx ends with that of Handshake and with
// Close, and with nothing else: no timeout of the Config runs meanwhile, since a
// person may have to be asked. Nobody reads either: that the server has gone, as
// OpenSSH's does after two minutes without a login, is found afterwards.
type HostKeyVerifier interface {
	VerifyHostKey(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error
}

// A HostKeyPreferrer is a HostKeyVerifier that knows beforehand which keys it
// can verify. The names that it returns are offered to the server first, as
// far as Config.HostKeyAlgorithms has them. Like every client that asks for
// the keys it has on record, ours shows to a listener whether it has one.
type HostKeyPreferrer interface {
	HostKeyAlgorithms(addr string) []string
}

// HostKeyFunc is a function as HostKeyVerifier.
type HostKeyFunc func(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error

// VerifyHostKey calls f.
func (f HostKeyFunc) VerifyHostKey(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error {
	return f(ctx, addr, remote, key)
}

// FixedHostKey accepts these keys and no other, whatever the server is called.
func FixedHostKey(keys ...ssh.PublicKey) HostKeyVerifier { return fixedHostKey(keys) }

type fixedHostKey []ssh.PublicKey

func (f fixedHostKey) VerifyHostKey(_ context.Context, _ string, _ net.Addr, key ssh.PublicKey) error {
	for _, k := range f {
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return nil
		}
	}
	return errors.New("it is not the fixed host key")
}

func (f fixedHostKey) HostKeyAlgorithms(string) []string {
	var names []string
	for _, name := range defaultHostKeyAlgorithms {
		if slices.ContainsFunc(f, func(k ssh.PublicKey) bool { return hostKeyAlgorithms[name].keyType == k.Type() }) {
			names = append(names, name)
		}
	}
	return names
}

// Host key algorithms by preference. Certificates come last: a verifier that
// can check them is a HostKeyPreferrer and says so, and any other one should
// see the plain key of a server that has both.
var defaultHostKeyAlgorithms = []string{
	ssh.KeyAlgoED25519,
	ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
	ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
	ssh.CertAlgoED25519v01,
	ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
	ssh.CertAlgoSKED25519v01, ssh.CertAlgoSKECDSA256v01,
	ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
}

// hostKeyAlgorithm tells what belongs to a negotiated name: the type in the
// key, and the format of the signature.
type hostKeyAlgorithm struct{ keyType, signature string }

// hostKeyAlgorithms: RFC 8709, RFC 5656 section 3, RFC 8332, and OpenSSH
// PROTOCOL section 1.3. "ssh-rsa" as a signature is SHA-1: not implemented.
var hostKeyAlgorithms = map[string]hostKeyAlgorithm{
	ssh.KeyAlgoED25519:        {ssh.KeyAlgoED25519, ssh.KeyAlgoED25519},
	ssh.KeyAlgoECDSA256:       {ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA256},
	ssh.KeyAlgoECDSA384:       {ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA384},
	ssh.KeyAlgoECDSA521:       {ssh.KeyAlgoECDSA521, ssh.KeyAlgoECDSA521},
	ssh.KeyAlgoSKED25519:      {ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKED25519},
	ssh.KeyAlgoSKECDSA256:     {ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoSKECDSA256},
	ssh.KeyAlgoRSASHA512:      {ssh.KeyAlgoRSA, ssh.KeyAlgoRSASHA512},
	ssh.KeyAlgoRSASHA256:      {ssh.KeyAlgoRSA, ssh.KeyAlgoRSASHA256},
	ssh.CertAlgoED25519v01:    {ssh.CertAlgoED25519v01, ssh.KeyAlgoED25519},
	ssh.CertAlgoECDSA256v01:   {ssh.CertAlgoECDSA256v01, ssh.KeyAlgoECDSA256},
	ssh.CertAlgoECDSA384v01:   {ssh.CertAlgoECDSA384v01, ssh.KeyAlgoECDSA384},
	ssh.CertAlgoECDSA521v01:   {ssh.CertAlgoECDSA521v01, ssh.KeyAlgoECDSA521},
	ssh.CertAlgoSKED25519v01:  {ssh.CertAlgoSKED25519v01, ssh.KeyAlgoSKED25519},
	ssh.CertAlgoSKECDSA256v01: {ssh.CertAlgoSKECDSA256v01, ssh.KeyAlgoSKECDSA256},
	ssh.CertAlgoRSASHA512v01:  {ssh.CertAlgoRSAv01, ssh.KeyAlgoRSASHA512},
	ssh.CertAlgoRSASHA256v01:  {ssh.CertAlgoRSAv01, ssh.KeyAlgoRSASHA256},
}

// verifyHost computes the exchange hash and checks the host key in this order:
// what kind of key it is, that the server holds it, that it is the right one.
func (c *Conn) verifyHost(ctx context.Context, x *keyExchange) error {
	state := c.State()
	x.hash = x.exchangeHash(state.ClientVersion, state.ServerVersion)
	key, err := ssh.ParsePublicKey(bytes.Clone(x.result.hostKey)) // it keeps the slice
	if err != nil {
		return &HostKeyError{Addr: c.config.Addr, Err: fmt.Errorf("malformed: %w", err)}
	}
	x.key = key
	refuse := func(err error) error {
		return &HostKeyError{Addr: c.config.Addr, Key: key, Err: err}
	}
	alg := hostKeyAlgorithms[x.hostKey]
	if key.Type() != alg.keyType {
		return refuse(fmt.Errorf("its type is %q, but %q was negotiated", clip(key.Type()), x.hostKey))
	}
	if err := c.checkStrength(key); err != nil {
		return refuse(err)
	}
	if err := verifySignature(key, alg.signature, x.hash, x.result.signature); err != nil {
		return refuse(fmt.Errorf("%w: %v", ErrHostKeySignature, err))
	}
	if !x.first {
		if !bytes.Equal(state.HostKey.Marshal(), key.Marshal()) {
			return refuse(errors.New("it is not the key that this connection began with"))
		}
		return nil
	}
	c.stopWaiting() // for the server
	defer c.startWaiting()
	ctx, cancel := c.untilEnd(ctx)
	defer cancel()
	if err := c.config.HostKey.VerifyHostKey(ctx, c.config.Addr, c.conn.RemoteAddr(), key); err != nil {
		return refuse(err)
	}
	return nil
}

// verifySignature checks the server's proof. The format inside must be the one
// that was negotiated: RSA would verify with SHA-1 too.
func verifySignature(key ssh.PublicKey, format string, data, signature []byte) error {
	var m signatureMsg
	if err := ssh.Unmarshal(signature, &m); err != nil {
		return err
	}
	if m.Format != format {
		return fmt.Errorf("made with %q instead of %q", clip(m.Format), format)
	}
	sk := format == ssh.KeyAlgoSKED25519 || format == ssh.KeyAlgoSKECDSA256
	if len(m.Rest) > 0 && !sk {
		return fmt.Errorf("%d bytes too many", len(m.Rest))
	}
	return key.Verify(data, &ssh.Signature{Format: m.Format, Blob: m.Blob, Rest: m.Rest})
}

// checkStrength refuses keys by which too many can sign, those inside a
// certificate included.
func (c *Conn) checkStrength(key ssh.PublicKey) error {
	if cert, ok := key.(*ssh.Certificate); ok {
		if err := c.checkStrength(cert.SignatureKey); err != nil {
			return fmt.Errorf("certificate authority: %w", err)
		}
		key = cert.Key
	}
	k, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil
	}
	switch pub := k.CryptoPublicKey().(type) {
	case *rsa.PublicKey:
		if pub.N.Sign() < 0 { // which the signature would not show
			return errors.New("RSA key with a negative modulus")
		}
		if pub.N.BitLen() < c.config.InsecureRSABits {
			return fmt.Errorf("RSA key of %d bits, less than %d", pub.N.BitLen(), c.config.InsecureRSABits)
		}
	case ed25519.PublicKey:
		if slices.Contains(smallOrderPoints, hex.EncodeToString(append(pub[:31:31], pub[31]&0x7f))) {
			return errors.New("Ed25519 key of small order")
		}
	}
	return nil
}

// smallOrderPoints are the points of Ed25519 whose order divides 8, without
// their sign, in all spellings that are taken: the multiples of such a key are
// so few that everybody can make signatures, without knowing any secret.
var smallOrderPoints = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // 0 again
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // 1 again
}
