// Package identity has what a user proves himself with: private keys from files,
// and the keys of an agent. It knows the files of OpenSSH and of PuTTY, and goes
// by the rules of OpenSSH's options IdentityFile, IdentityAgent, IdentitiesOnly
// and CertificateFile.
//
// [Load] and [Parse] make signers, which userauth.PublicKeys takes and anything
// else that wants an ssh.Signer. The passphrase of an encrypted key is asked for
// when the server has said that it would accept the key, and once only. [Method]
// offers such keys together with those of an agent:
//
//	keys, err := identity.Load(ctx, "/home/me/.ssh/id_ed25519", &identity.Options{Passphrase: ask})
//	…
//	auth := identity.Method(&identity.Config{Keys: keys, Agent: identity.SystemAgent, Only: true})
//
// Nothing here reads a file that was not named, or, but for [SystemAgent], the
// environment. No error and no log has anything of a secret.
package identity

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

// Config says which keys are offered.
type Config struct {
	// Keys are those of files, from [Load], or any other signers. What the agent
	// has too is offered once: of a key from a file the agent signs, and if it
	// refuses, the file; any other signer signs itself. A public key without its
	// private one, and a certificate, wait for the agent, or another of Keys, to
	// have what they lack.
	Keys []ssh.Signer

	// Agent connects to an agent, such as [SystemAgent] does; nil is none. It is
	// called once in each login that comes to it, and the login closes what it
	// returns. An agent that cannot be reached or has no keys is no reason to
	// give up: the error of the login tells.
	Agent func(ctx context.Context) (net.Conn, error)

	// Only has nothing offered that is not in Keys, however many keys the agent
	// has: servers hang up after a few that are wrong.
	Only bool
}

// Method returns the method "publickey" with these keys. The order is that of
// OpenSSH: keys that are in Keys and in the agent, in the agent's order; other
// keys of the agent; the rest of Keys.
//
// A connection to the agent serves one login. Before anything else it is bound
// to the session, OpenSSH PROTOCOL.agent section 1, so that keys work which may
// be used for certain hosts only; agents that cannot do that do without.
func Method(config *Config) userauth.Method {
	m := new(method)
	if config != nil {
		m.config = *config
		m.config.Keys = slices.Clone(config.Keys)
	}
	return m
}

type method struct{ config Config }

func (m *method) Name() string { return "publickey" }

func (m *method) Try(ctx context.Context, x *userauth.Exchange) (userauth.Reply, error) {
	keys := userauth.PublicKeysFunc(func(ctx context.Context) ([]ssh.Signer, error) {
		return m.signers(ctx, x)
	})
	return keys.Try(ctx, x)
}

// signers returns what there is to offer in this login, and records what is not.
func (m *method) signers(ctx context.Context, x *userauth.Exchange) ([]ssh.Signer, error) {
	var agentKeys []*agentKey
	if m.config.Agent != nil {
		var err error
		agentKeys, err = m.askAgent(ctx, x)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			x.Record(userauth.Attempt{Err: fmt.Errorf("%w: %w", userauth.ErrSkip, err)})
		}
	}
	signers, missing := m.config.order(agentKeys)
	for _, s := range m.config.Keys {
		if k, ok := s.(*key); ok && k.beside != nil {
			x.Record(userauth.Attempt{Err: fmt.Errorf("%w: %w", userauth.ErrSkip, k.beside)})
		}
	}
	for _, k := range missing {
		x.Record(userauth.Attempt{Key: k.public, Err: fmt.Errorf("%w: no agent has its private key: %w", userauth.ErrSkip, k.secret.missing)})
	}
	switch {
	case len(signers)+len(missing) > 0:
		return signers, nil
	case len(agentKeys) > 0:
		return nil, fmt.Errorf("%w: the agent has %d keys, and none of them is among those that are wanted", userauth.ErrSkip, len(agentKeys))
	}
	return nil, fmt.Errorf("%w: no keys", userauth.ErrSkip)
}

// order returns the signers in the order in which they are offered, and the keys
// for which nothing here can sign.
func (c *Config) order(agentKeys []*agentKey) (signers []ssh.Signer, missing []*key) {
	rest := slices.DeleteFunc(slices.Clone(c.Keys), func(s ssh.Signer) bool { return s == nil })
	var others []ssh.Signer
	for _, k := range agentKeys {
		i := slices.IndexFunc(rest, func(s ssh.Signer) bool { return same(s.PublicKey(), k.public) })
		switch {
		case i >= 0:
			signer := rest[i]
			if file, ok := signer.(*key); ok {
				k.file, signer = file, k
			}
			signers = append(signers, signer)
			rest = slices.Delete(rest, i, i+1)
		case !c.Only:
			others = append(others, k)
		}
	}
	signers = append(signers, others...)
	for _, s := range rest {
		k, ok := s.(*key)
		if !ok || !k.secret.locked() {
			signers = append(signers, s)
		} else if other := c.other(k, agentKeys); other != nil {
			signers = append(signers, &key{public: k.public, secret: signedBy(other)})
		} else if k.secret.missing == nil {
			signers = append(signers, k)
		} else {
			missing = append(missing, k)
		}
	}
	return signers, missing
}

// other returns a signer that has the private key of k at hand: the agent, best
// of all, which asks for no passphrase.
func (c *Config) other(k *key, agentKeys []*agentKey) ssh.Signer {
	for _, s := range agentKeys {
		if same(plain(s.public), plain(k.public)) {
			return s
		}
	}
	for _, s := range c.Keys {
		if f, ok := s.(*key); s != nil && (!ok || f.secret.missing == nil) && same(plain(s.PublicKey()), plain(k.public)) {
			return s
		}
	}
	return nil
}

// same tells whether two keys are one, and both certificates or none.
func same(a, b ssh.PublicKey) bool {
	return a != nil && b != nil && bytes.Equal(a.Marshal(), b.Marshal())
}

// plain returns the key in a certificate, and any other key as it is.
func plain(k ssh.PublicKey) ssh.PublicKey {
	if cert, ok := k.(*ssh.Certificate); ok {
		return cert.Key
	}
	return k
}
