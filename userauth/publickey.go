package userauth

import (
	"context"
	"slices"

	"golang.org/x/crypto/ssh"
)

// PublicKeys offers keys in order, RFC 4252 section 7. A request without a
// signature, a probe, asks the server about each key before the key has to sign.
// Two keys sign without a probe: the last, and [Config].LastKey, which also goes
// first. A key that needs a person, see [InteractiveSigner], is always probed.
// [Config].Probes says how many probes leave in one flight. After a signer that
// fails the next key is offered; a key that the server has refused in this login
// is not offered again. RSA keys sign with SHA-2 or not at all, see
// [InsecureSHA1]. DSA keys and expired certificates are passed over.
//
// Signatures are bound to the server's key as well as to the session, if an
// OpenSSH server takes such requests and the [Transport] is a [HostKeyProver].
// Signers are called from a goroutine of their own, so a login whose context
// ends does not wait for them.
func PublicKeys(signers ...ssh.Signer) Method {
	signers = slices.Clone(signers)
	return PublicKeysFunc(func(context.Context) ([]ssh.Signer, error) { return signers, nil })
}

// PublicKeysFunc offers the keys that f returns, as [PublicKeys] does. f is
// called when the method has its turn, and once in a login unless f fails. An
// error of f that wraps [ErrSkip] declines; any other error ends the login.
func PublicKeysFunc(f func(ctx context.Context) ([]ssh.Signer, error)) Method {
	return publicKeys(f)
}

// InteractiveSigner is a signer that may need a person for a signature, to type a
// passphrase or touch a token. Nobody is bothered in vain: before the server wants
// the signature, a login calls SignWithAlgorithm, and only if Interactive is false.
type InteractiveSigner interface {
	ssh.AlgorithmSigner

	// Interactive reports whether the next signature needs a person. A signer
	// that finds out by failing is called again if the server wants the
	// signature.
	Interactive() bool

	// SignContext signs when the server wants the signature. ctx is the context
	// of the login; SignContext stops asking when ctx ends.
	SignContext(ctx context.Context, data []byte, algorithm string) (*ssh.Signature, error)
}

type publicKeys func(ctx context.Context) ([]ssh.Signer, error)

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
