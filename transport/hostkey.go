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

	"github.com/nacre-ssh/nacre/internal/sshkey"
)

// A HostKeyVerifier decides whether a host key is the right server's. An error ends the
// handshake, wrapped in a [*HostKeyError].
//
// VerifyHostKey is called once for each connection, after the server has proven its
// possession of the private key and before anything secret is sent. addr is
// Config.Addr, remote the address of the connection below. The key is a
// *ssh.Certificate if the server has a certificate; only the proof of possession has
// been checked then.
//
// ctx ends with the context of Handshake and with Close, and with nothing else. No
// timeout of the Config runs meanwhile, since a person may have to be asked. Nobody
// reads meanwhile either: a server that goes away, as OpenSSH's does after two minutes
// without a login, is noticed afterwards.
type HostKeyVerifier interface {
	VerifyHostKey(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error
}

// A HostKeyPreferrer is a HostKeyVerifier that knows beforehand the algorithms of the
// keys on record. Those names are offered first, as far as Config.HostKeyAlgorithms has
// them. So a listener learns whether there is a key on record, as with every such client.
type HostKeyPreferrer interface {
	HostKeyAlgorithms(addr string) []string
}

// HostKeyFunc is a function as a HostKeyVerifier.
type HostKeyFunc func(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error

// VerifyHostKey calls f.
func (f HostKeyFunc) VerifyHostKey(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error {
	return f(ctx, addr, remote, key)
}

// FixedHostKey returns a verifier that accepts these keys and no others, for every
// address.
func FixedHostKey(keys ...ssh.PublicKey) HostKeyVerifier { return fixedHostKey(keys) }

type fixedHostKey []ssh.PublicKey

func (f fixedHostKey) VerifyHostKey(_ context.Context, _ string, _ net.Addr, key ssh.PublicKey) error {
	for _, k := range f {
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return nil
		}
	}
	return errors.New("the key is not among the fixed host keys")
}

func (f fixedHostKey) HostKeyAlgorithms(string) []string {
	var names []string
	for _, a := range sshkey.HostAlgorithms() {
		if slices.ContainsFunc(f, func(k ssh.PublicKey) bool { return a.KeyType == k.Type() }) {
			names = append(names, a.Name)
		}
	}
	return names
}

// verifyHost computes the exchange hash and checks the host key, in this order: its
// type, the server's possession of the private key, and the verifier's decision.
func (c *Conn) verifyHost(ctx context.Context, x *keyExchange) error {
	state := c.State()
	x.hash = x.exchangeHash(state.ClientVersion, state.ServerVersion)
	key, err := ssh.ParsePublicKey(bytes.Clone(x.result.HostKey)) // the key keeps the slice
	if err != nil {
		return &HostKeyError{Addr: c.config.Addr, Err: fmt.Errorf("malformed: %w", err)}
	}
	x.key = key
	refuse := func(err error) error {
		return &HostKeyError{Addr: c.config.Addr, Key: key, Err: err}
	}
	negotiated, ok := sshkey.HostAlgorithm(x.hostKey)
	if !ok || key.Type() != negotiated.KeyType {
		return refuse(fmt.Errorf("the key has the type %q, but %q was negotiated", clip(key.Type()), x.hostKey))
	}
	if err := c.checkStrength(key); err != nil {
		return refuse(err)
	}
	if err := sshkey.Verify(key, []string{negotiated.Signature}, x.hash, x.result.Signature); err != nil {
		return refuse(fmt.Errorf("%w: %v", ErrHostKeySignature, err))
	}
	if !x.first {
		if !bytes.Equal(state.HostKey.Marshal(), key.Marshal()) {
			return refuse(errors.New("the key has changed since the connection began"))
		}
		return nil
	}
	c.stopWaiting() // the server is not waited for meanwhile
	defer c.startWaiting()
	ctx, cancel := c.untilEnd(ctx)
	defer cancel()
	if err := c.config.HostKey.VerifyHostKey(ctx, c.config.Addr, c.conn.RemoteAddr(), key); err != nil {
		return refuse(err)
	}
	return nil
}

// checkStrength refuses keys with which too many people can sign, also inside a
// certificate.
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
		if pub.N.Sign() < 0 { // the signature would be valid
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

// smallOrderPoints are the points of Ed25519 whose order divides 8, without their sign,
// in all accepted spellings. Such a point has so few multiples that everybody can make
// signatures without a secret.
var smallOrderPoints = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // 0 again
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // 1 again
}
