package userauth

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// PublicKeys offers keys in their order, RFC 4252 section 7. The server is asked
// about each key before it has to sign, except the last, which signs at once,
// and [Config].LastKey, which goes first and signs at once; about one that needs a
// person, an [InteractiveSigner], it is always asked. [Config].Probes says how many
// it is asked about in one flight. A signer that fails is recorded and the next key is
// offered; a key that the server has already refused in this login is not
// offered again. RSA keys sign with SHA-2 or not at all, see [InsecureSHA1], and
// DSA keys and certificates that have expired are passed over.
//
// A signature is bound to the server's key as well as to the session where an
// OpenSSH server takes such requests and the [Transport] has the method
// HostKeyProof.
//
// Signers are called from a goroutine of their own, so that a login whose
// context ends does not wait for them.
func PublicKeys(signers ...ssh.Signer) Method {
	signers = slices.Clone(signers)
	return PublicKeysFunc(func(context.Context) ([]ssh.Signer, error) { return signers, nil })
}

// PublicKeysFunc offers the keys that f returns, as [PublicKeys] does. f is
// called when it is its turn, and once in a login unless it fails. An error of f
// that wraps [ErrSkip] declines; any other ends the login.
func PublicKeysFunc(f func(ctx context.Context) ([]ssh.Signer, error)) Method {
	return publicKeys(f)
}

// InteractiveSigner is a signer that may need a person for a signature, who
// types a passphrase or touches a token. A login calls SignWithAlgorithm as long
// as the server has not said that it would accept the signature, and only where
// Interactive is false: nobody is to be bothered by it.
type InteractiveSigner interface {
	ssh.AlgorithmSigner

	// Interactive tells whether the next signature needs a person. One that
	// turns out to while it fails is asked again, if the server wants that.
	Interactive() bool

	// SignContext signs when the server wants the signature. When ctx ends,
	// which is that of the login, so does the asking.
	SignContext(ctx context.Context, data []byte, algorithm string) (*ssh.Signature, error)
}

type publicKeys func(ctx context.Context) ([]ssh.Signer, error)

// maxKeyBytes bounds the keys that are offered: what RFC 4253 section 6.1 makes
// every server accept in one message has to hold a signature too. An agent, which
// may be as far away as the server, must not be able to end the login with more.
const maxKeyBytes = 24 << 10

// candidate is a key that can be offered.
type candidate struct {
	signer     ssh.Signer
	key        ssh.PublicKey
	blob       []byte
	algorithms []algorithm // what it can sign with, best first, never empty

	likely   bool      // this is Config.LastKey
	failed   error     // why it could not sign when the server had not been asked
	offered  algorithm // how it was offered last
	accepted bool      // so offered, the server wants its signature
	unasked  bool      // it signs before the server has said whether it wants that
}

func (publicKeys) Name() string { return methodPublicKey }

func (p publicKeys) Try(ctx context.Context, x *Exchange) (Reply, error) {
	o, ok := x.State.(*offering)
	if !ok {
		signers, err := p(ctx)
		if err != nil {
			return Reply{}, err
		}
		o = &offering{keys: candidates(x, signers), proof: prove}
		o.putFirst(x.LastKey())
		x.State = o
	}
	o.keys = untried(x, o.keys)
	return o.run(ctx, x)
}

// candidates returns the keys that can be used, each once, and records why the
// others cannot.
func candidates(x *Exchange, signers []ssh.Signer) []*candidate {
	var keys []*candidate
	seen := make(map[string]bool)
	for _, signer := range signers {
		var key ssh.PublicKey
		if signer != nil {
			key = signer.PublicKey()
		}
		if key == nil {
			x.Record(Attempt{Err: fmt.Errorf("%w: signer without a key", ErrSkip)})
			continue
		}
		blob := key.Marshal()
		if seen[string(blob)] {
			continue
		}
		seen[string(blob)] = true
		algorithms := signerAlgorithms(signer, key.Type())
		if s, ok := signer.(insecureSigner); ok {
			signer = s.Signer
		}
		switch {
		case expired(key) != nil:
			x.Record(Attempt{Key: key, Err: expired(key)})
		case len(blob) > maxKeyBytes:
			x.Record(Attempt{Key: key, Err: fmt.Errorf("%w: key of %d bytes", ErrSkip, len(blob))})
		case len(algorithms) == 0:
			x.Record(Attempt{Key: key, Err: fmt.Errorf("%w: no safe algorithm", ErrSkip)})
		default:
			keys = append(keys, &candidate{signer: signer, key: key, blob: blob, algorithms: algorithms})
		}
	}
	return keys
}

// expired returns why a certificate is of no use any more. One that is not valid
// yet is offered: clocks differ, and the server's counts.
func expired(key ssh.PublicKey) error {
	cert := certificate(key)
	if cert == nil || cert.ValidBefore > uint64(time.Now().Unix()) {
		return nil
	}
	return fmt.Errorf("%w: the certificate %q has expired at %s", ErrSkip, cut(cert.KeyId), moment(cert.ValidBefore))
}

// interactive tells whether a person is needed for a signature.
func (k *candidate) interactive() bool {
	s, ok := k.signer.(InteractiveSigner)
	return ok && s.Interactive()
}

// asksFirst reports whether the server has to want the signature before there is
// one: it takes a person, or could not be made when the server had said nothing.
func (k *candidate) asksFirst() bool { return k.failed != nil || k.interactive() }

// mayAskFirst reports whether the server is to be asked about k, which could not
// sign: it may turn out to take a person, who is not bothered before the server
// wants the signature. And an agent that may use the key for certain servers only
// has to see the server's key in the request, which nothing can have before the
// server's first answer.
func (k *candidate) mayAskFirst(x *Exchange) bool {
	key, _ := x.HostKeyProof()
	return k.failed == nil && (k.interactive() || x.Allowed() == nil && key != nil && !x.bindsHost())
}

// untried returns those of keys on which the server has not given a verdict in
// this login, be it to this method or to another one of its name.
func untried(x *Exchange, keys []*candidate) []*candidate {
	judged := make(map[string]bool)
	for _, a := range x.Tried() {
		if a.Key != nil && a.Err == nil && a.Method == x.Name() {
			judged[string(a.Key.Marshal())] = true
		}
	}
	return slices.DeleteFunc(keys, func(k *candidate) bool { return judged[string(k.blob)] })
}

// again reports whether a key that was refused is to be offered with another
// algorithm: when the refusal brought the news that the server wants that, for
// the first request of a login leaves before the server's list arrives, or when
// there is no such list and SHA-1 may follow SHA-2.
func (k *candidate) again(x *Exchange) bool {
	last := k.algorithms[len(k.algorithms)-1]
	if _, ok := x.Extension(extSignatures); !ok && last.signature == ssh.KeyAlgoRSA {
		k.algorithms = k.algorithms[len(k.algorithms)-1:]
	}
	return k.choose(x) != k.offered
}

// isOf reports whether an attempt was made with the key.
func (k *candidate) isOf(a Attempt) bool {
	return a.Key != nil && bytes.Equal(a.Key.Marshal(), k.blob)
}

// prove returns the payload of a request with a signature.
func prove(ctx context.Context, x *Exchange, k *candidate) ([]byte, error) {
	return k.appendSignature(ctx, x, k.request(x, true))
}

// request returns the payload of a request about the key, without a signature.
// It has the server's key in it where the server takes that, OpenSSH PROTOCOL
// section 3.1: so the signer can tell for which server it signs. The first
// request of a login leaves before the server has said so.
func (k *candidate) request(x *Exchange, signed bool) []byte {
	payload := ssh.Marshal(publicKeyMsg{Signed: signed, Algorithm: k.offered.name, Key: k.blob})
	x.Alias = ""
	if x.bindsHost() {
		x.Alias = methodHostbound
		key, _ := x.HostKeyProof()
		payload = append(payload, ssh.Marshal(hostboundMsg{key.Marshal()})...)
	}
	return payload
}

// bindsHost reports whether requests of publickey have the server's key in them.
func (x *Exchange) bindsHost() bool {
	version, ok := x.Extension("publickey-hostbound@openssh.com")
	key, _ := x.HostKeyProof()
	return ok && string(version) == "0" && key != nil
}

// appendSignature returns the payload with a signature of it at its end.
func (k *candidate) appendSignature(ctx context.Context, x *Exchange, payload []byte) ([]byte, error) {
	signature, err := k.sign(ctx, x.SignedData(payload))
	if err != nil {
		return nil, err
	}
	return append(payload, ssh.Marshal(signatureMsg{signature})...), nil
}

// confirm checks that the server accepted the key that it was asked about. The
// algorithm should be the one in the request, but the server half of ssh2 1.15
// for Node.js answers with the type of the key, and nothing is lost by that.
func (k *candidate) confirm(packet []byte) error {
	var msg publicKeyOKMsg
	if err := ssh.Unmarshal(packet, &msg); err != nil {
		return protocolErrorf("malformed acceptance of a key")
	}
	if !bytes.Equal(msg.Key, k.blob) {
		return protocolErrorf("acceptance of a key that was not offered")
	}
	if msg.Algorithm != k.offered.name && msg.Algorithm != k.key.Type() {
		return protocolErrorf("acceptance of algorithm %q, which was not offered", cut(msg.Algorithm))
	}
	return nil
}

// sign returns the signature of data in wire form. What the signer made is
// checked before it leaves: an agent may answer with SHA-1 though asked for
// SHA-2, or with another key.
func (k *candidate) sign(ctx context.Context, data []byte) ([]byte, error) {
	want := k.offered.signature
	signature, err := await(ctx, func() (*ssh.Signature, error) {
		if s, ok := k.signer.(InteractiveSigner); ok && !k.unasked {
			return s.SignContext(ctx, data, want)
		}
		if s, ok := k.signer.(ssh.AlgorithmSigner); ok {
			return s.SignWithAlgorithm(rand.Reader, data, want)
		}
		return k.signer.Sign(rand.Reader, data)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("signer: %w", err)
	case signature == nil:
		return nil, errors.New("signer: no signature and no error")
	case signature.Format != want:
		return nil, fmt.Errorf("signer: signature of type %q, not %q", cut(signature.Format), want)
	}
	// A key that x/crypto does not know is the signer's own affair. Nor can it
	// judge a security key that the server lets sign without a touch.
	key, err := ssh.ParsePublicKey(k.blob)
	if err == nil && !strings.HasPrefix(want, "sk-") {
		if err := key.Verify(data, signature); err != nil {
			return nil, fmt.Errorf("signer: wrong signature: %w", err)
		}
	}
	return ssh.Marshal(signature), nil
}
