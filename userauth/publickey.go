package userauth

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// PublicKeys offers keys in their order, RFC 4252 section 7. The server is asked
// about each key before it has to sign, except the last, which signs at once.
// A signer that fails is recorded and the next key is offered; a key that the
// server has already refused in this login is not offered again. RSA keys sign
// with SHA-2 or not at all, and DSA keys are passed over.
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
}

// keyError is an error that concerns one key, so that the next one may be tried.
type keyError struct{ error }

func (publicKeys) Name() string { return methodPublicKey }

func (p publicKeys) Try(ctx context.Context, x *Exchange) (reply Reply, err error) {
	keys, ok := x.State.([]candidate)
	if !ok {
		signers, err := p(ctx)
		if err != nil {
			return Reply{}, err
		}
		keys = candidates(x, signers)
	}
	keys = untried(x, keys)
	defer func() { x.State = keys }()

	err = fmt.Errorf("%w: no key to offer", ErrSkip)
	for len(keys) > 0 {
		key := keys[0]
		answer, offerErr := key.offer(ctx, x, len(keys) > 1)
		var bad keyError
		if errors.As(offerErr, &bad) {
			x.Record(Attempt{Key: key.key, Err: bad.error})
			keys = keys[1:]
			continue
		}
		if offerErr != nil {
			x.Record(Attempt{Key: key.key, Err: errUnfinished})
			return Reply{}, offerErr
		}
		x.Record(Attempt{Key: key.key, Status: answer.Status})
		reply, err = answer, nil
		if reply.Status == Failure && !reply.Allows(methodPublicKey) {
			// This was not about the key, which may be wanted later.
			break
		}
		keys = keys[1:]
		if reply.Status != Failure {
			break
		}
	}
	return reply, err
}

// candidates returns the keys that can be used, each once, and records why the
// others cannot.
func candidates(x *Exchange, signers []ssh.Signer) []candidate {
	keys := []candidate{}
	seen := make(map[string]bool)
	for _, signer := range signers {
		if signer == nil || signer.PublicKey() == nil {
			x.Record(Attempt{Err: fmt.Errorf("%w: signer without a key", ErrSkip)})
			continue
		}
		key := signer.PublicKey()
		blob := key.Marshal()
		if seen[string(blob)] {
			continue
		}
		seen[string(blob)] = true
		switch algorithms := signerAlgorithms(signer); {
		case len(blob) > maxKeyBytes:
			x.Record(Attempt{Key: key, Err: fmt.Errorf("%w: key of %d bytes", ErrSkip, len(blob))})
		case len(algorithms) == 0:
			x.Record(Attempt{Key: key, Err: fmt.Errorf("%w: no safe algorithm", ErrSkip)})
		default:
			keys = append(keys, candidate{signer, key, blob, algorithms})
		}
	}
	return keys
}

// untried returns those of keys on which the server has not given a verdict in
// this login, be it to this method or to another one that has the same key.
func untried(x *Exchange, keys []candidate) []candidate {
	judged := make(map[string]bool)
	for _, a := range x.Tried() {
		if a.Key != nil && a.Err == nil {
			judged[string(a.Key.Marshal())] = true
		}
	}
	return slices.DeleteFunc(keys, func(k candidate) bool { return judged[string(k.blob)] })
}

// offer offers the key and returns the server's verdict. It does so once more
// when the refusal brought the news that the server wants another algorithm,
// for the first request of a login leaves before the server's list arrives.
func (k candidate) offer(ctx context.Context, x *Exchange, ask bool) (Reply, error) {
	used := k.choose(x)
	for {
		reply, err := k.offerWith(ctx, x, used, ask)
		if err != nil || reply.Status != Failure || !reply.Allows(methodPublicKey) {
			return reply, err
		}
		next := k.choose(x)
		if next == used {
			return reply, nil
		}
		used = next
	}
}

// offerWith makes the request with a signature, after one without when ask is
// set.
func (k candidate) offerWith(ctx context.Context, x *Exchange, a algorithm, ask bool) (Reply, error) {
	msg := publicKeyMsg{Algorithm: a.name, Key: k.blob}
	if ask {
		reply, err := x.Request(ssh.Marshal(msg))
		if err != nil || reply.Status != Message || reply.Packet[0] != msgPublicKeyOK {
			return reply, err
		}
		if err := k.confirm(reply.Packet, a); err != nil {
			return Reply{}, keyError{err}
		}
	}
	msg.Signed = true
	signature, err := k.sign(ctx, x.SignedData(ssh.Marshal(msg)), a)
	if ctx.Err() != nil {
		return Reply{}, ctx.Err()
	}
	if err != nil {
		return Reply{}, keyError{err}
	}
	msg.Signature = ssh.Marshal(struct{ Signature []byte }{signature})
	return x.Request(ssh.Marshal(msg))
}

// confirm checks that the server accepted the key that it was asked about. The
// algorithm should be the one in the request, but the server half of ssh2 1.15
// for Node.js answers with the type of the key, and nothing is lost by that.
func (k candidate) confirm(packet []byte, a algorithm) error {
	var msg publicKeyOKMsg
	if err := ssh.Unmarshal(packet, &msg); err != nil {
		return protocolErrorf("malformed acceptance of a key")
	}
	if !bytes.Equal(msg.Key, k.blob) {
		return protocolErrorf("acceptance of a key that was not offered")
	}
	if msg.Algorithm != a.name && msg.Algorithm != k.key.Type() {
		return protocolErrorf("acceptance of algorithm %q, which was not offered", cut(msg.Algorithm))
	}
	return nil
}

// sign returns the signature of data in wire form. What the signer made is
// checked before it leaves: an agent may answer with SHA-1 though asked for
// SHA-2, or with another key.
func (k candidate) sign(ctx context.Context, data []byte, a algorithm) ([]byte, error) {
	signature, err := await(ctx, func() (*ssh.Signature, error) {
		if s, ok := k.signer.(ssh.AlgorithmSigner); ok {
			return s.SignWithAlgorithm(rand.Reader, data, a.signature)
		}
		return k.signer.Sign(rand.Reader, data)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("signer: %w", err)
	case signature == nil:
		return nil, errors.New("signer: no signature and no error")
	case signature.Format != a.signature:
		return nil, fmt.Errorf("signer: signature of type %q, not %q", cut(signature.Format), a.signature)
	}
	// A key that x/crypto does not know is the signer's own affair. Nor can it
	// judge a security key that the server lets sign without a touch.
	key, err := ssh.ParsePublicKey(k.blob)
	if err == nil && !strings.HasPrefix(a.signature, "sk-") {
		if err := key.Verify(data, signature); err != nil {
			return nil, fmt.Errorf("signer: wrong signature: %w", err)
		}
	}
	return ssh.Marshal(signature), nil
}
