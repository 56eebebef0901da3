package userauth

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
)

// maxKeyBytes bounds the keys that are offered: key and signature must fit in the
// smallest message that RFC 4253 section 6.1 has servers accept.
const maxKeyBytes = 24 << 10

// candidate is a key that can be offered.
type candidate struct {
	signer     ssh.Signer
	key        ssh.PublicKey
	blob       []byte
	algorithms []sshkey.Algorithm // the signer's, best first, never empty

	isLastKey bool             // the key is Config.LastKey
	failed    error            // why the key could not sign without a probe
	offered   sshkey.Algorithm // of the last request about the key
	accepted  bool             // the server wants a signature with the offered algorithm
	unprobed  bool             // the key signs before the server has accepted a probe
}

// candidates returns each usable key once, and records why others are not usable.
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
			x.Record(Attempt{Key: key, Err: fmt.Errorf("%w: key of %d bytes is longer than %d", ErrSkip, len(blob), maxKeyBytes)})
		case len(algorithms) == 0:
			x.Record(Attempt{Key: key, Err: fmt.Errorf("%w: no safe algorithm", ErrSkip)})
		default:
			keys = append(keys, &candidate{signer: signer, key: key, blob: blob, algorithms: algorithms})
		}
	}
	return keys
}

// expired returns why a certificate is no longer of use. A certificate that is
// not valid yet is offered: clocks differ, and the server's clock counts.
func expired(key ssh.PublicKey) error {
	cert := certificate(key)
	if cert == nil || cert.ValidBefore > uint64(time.Now().Unix()) {
		return nil
	}
	return fmt.Errorf("%w: the certificate %q has expired at %s", ErrSkip, clip(cert.KeyId), moment(cert.ValidBefore))
}

func (k *candidate) interactive() bool {
	s, ok := k.signer.(InteractiveSigner)
	return ok && s.Interactive()
}

// needsProbe reports whether the server must accept a probe before k signs: the
// signature needs a person, or could not be made without a probe.
func (k *candidate) needsProbe() bool { return k.failed != nil || k.interactive() }

// mayProbe reports whether a probe can help k, which could not sign: the
// signature may have turned out to need a person, or an agent may insist on the
// server's key in the request, which no request has before the first answer.
func (k *candidate) mayProbe(x *Exchange) bool {
	key, _ := x.HostKeyProof()
	return k.failed == nil && (k.interactive() || x.Allowed() == nil && key != nil && !bindsHost(x))
}

// untried returns the keys on which the server has not given a verdict in this
// login, to this method or to another of the same name.
func untried(x *Exchange, keys []*candidate) []*candidate {
	judged := make(map[string]bool)
	for _, a := range x.Tried() {
		if a.Key != nil && a.Err == nil && a.Method == x.Name() {
			judged[string(a.Key.Marshal())] = true
		}
	}
	return slices.DeleteFunc(keys, func(k *candidate) bool { return judged[string(k.blob)] })
}

// again reports whether a refused key is to be offered with another algorithm:
// when the server's list, which arrives after the first request has left, prefers
// another, or when there is no list and SHA-1 may follow SHA-2.
func (k *candidate) again(x *Exchange) bool {
	last := k.algorithms[len(k.algorithms)-1]
	if _, ok := x.Extension(extSignatures); !ok && last.Signature == ssh.KeyAlgoRSA {
		k.algorithms = k.algorithms[len(k.algorithms)-1:]
	}
	return k.choose(x) != k.offered
}

func (k *candidate) isOf(a Attempt) bool {
	return a.Key != nil && bytes.Equal(a.Key.Marshal(), k.blob)
}

// prove returns the payload of a request with a signature.
func prove(ctx context.Context, x *Exchange, k *candidate) ([]byte, error) {
	return k.appendSignature(ctx, x, k.request(x, true))
}

// request returns the payload of a request about the key, without a signature.
// Where the server takes its host key in requests, OpenSSH PROTOCOL section 3.1,
// the payload has the host key, and the signer can tell the server.
func (k *candidate) request(x *Exchange, signed bool) []byte {
	payload := ssh.Marshal(publicKeyMsg{Signed: signed, Algorithm: k.offered.Name, Key: k.blob})
	x.Alias = ""
	if bindsHost(x) {
		x.Alias = methodHostbound
		key, _ := x.HostKeyProof()
		payload = append(payload, ssh.Marshal(hostboundMsg{key.Marshal()})...)
	}
	return payload
}

// bindsHost reports whether requests of publickey have the server's key in them.
func bindsHost(x *Exchange) bool {
	version, ok := x.Extension("publickey-hostbound@openssh.com")
	key, _ := x.HostKeyProof()
	return ok && string(version) == "0" && key != nil
}

// appendSignature returns the payload with a signature of the payload at the end.
func (k *candidate) appendSignature(ctx context.Context, x *Exchange, payload []byte) ([]byte, error) {
	signature, err := k.sign(ctx, x.SignedData(payload))
	if err != nil {
		return nil, err
	}
	return append(payload, ssh.Marshal(signatureMsg{signature})...), nil
}

// confirm checks that the server's acceptance is of the key in the probe. The
// algorithm should be the probe's, but the server half of ssh2 1.15 for Node.js
// answers with the type of the key, and no harm comes from the type.
func (k *candidate) confirm(packet []byte) error {
	var msg publicKeyOKMsg
	if err := ssh.Unmarshal(packet, &msg); err != nil {
		return protocolErrorf("malformed acceptance of a key")
	}
	if !bytes.Equal(msg.Key, k.blob) {
		return protocolErrorf("acceptance of a key that was not offered")
	}
	if msg.Algorithm != k.offered.Name && msg.Algorithm != k.key.Type() {
		return protocolErrorf("acceptance of algorithm %q, which was not offered", clip(msg.Algorithm))
	}
	return nil
}

// sign returns the signature of data in wire form, verified: an agent may answer
// with SHA-1 instead of SHA-2, or with another key.
func (k *candidate) sign(ctx context.Context, data []byte) ([]byte, error) {
	want := k.offered.Signature
	signature, err := await(ctx, func() (*ssh.Signature, error) {
		if s, ok := k.signer.(InteractiveSigner); ok && !k.unprobed {
			return s.SignContext(ctx, data, want)
		}
		if s, ok := k.signer.(ssh.AlgorithmSigner); ok {
			return s.SignWithAlgorithm(rand.Reader, data, want)
		}
		return k.signer.Sign(rand.Reader, data)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("userauth: signer: %w", err)
	case signature == nil:
		return nil, errors.New("userauth: signer: no signature and no error")
	}
	if err := verify(k.blob, data, signature, want); err != nil {
		return nil, err
	}
	return ssh.Marshal(signature), nil
}
