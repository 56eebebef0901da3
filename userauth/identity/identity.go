// Package identity has the keys of a user: private keys from files, and the keys
// of an agent. The files are those of OpenSSH and PuTTY, and the rules those of
// OpenSSH's options IdentityFile, IdentityAgent, IdentitiesOnly and
// CertificateFile.
//
// [Load] and [Parse] make signers for userauth.PublicKeys, and for everything
// else that wants an ssh.Signer. The passphrase of an encrypted key is asked for
// once, when the server has accepted the key. [Method] offers keys of files
// together with the keys of an agent:
//
//	keys, err := identity.Load(ctx, "/home/me/.ssh/id_ed25519", &identity.Options{Passphrase: ask})
//	…
//	auth := identity.Method(&identity.Config{Keys: keys, Agent: identity.SystemAgent, IdentitiesOnly: true})
//
// Only files that are named are read, and only [SystemAgent] reads the
// environment. No error has anything of a secret.
//
// The rooms: identity.go has the method and the order of keys; key.go a signer
// whose file may still be locked; file.go the files, with private.go and ppk.go
// for their formats; agent.go the conversation with an agent, and bind.go its
// binding to a session.
package identity

import (
	"context"
	"fmt"
	"net"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/internal/sshkey"
	"github.com/nacre-ssh/nacre/userauth"
)

// Config says which keys are offered.
type Config struct {
	// Keys are the keys of files, from [Load], and any other signers. A key that
	// the agent has too is offered once: the agent signs for a key of a file, and
	// the file does if the agent refuses; any other signer signs for itself. The
	// private key to a public key or a certificate may be the agent's, or another
	// of Keys.
	Keys []ssh.Signer

	// Agent connects to an agent, as [SystemAgent] does; nil means no agent. A
	// login calls Agent once, when the method has its turn, and closes the
	// connection. An agent that cannot be reached or has no keys is passed over,
	// and named in the error of the login.
	Agent func(ctx context.Context) (net.Conn, error)

	// IdentitiesOnly limits the offer to Keys, however many keys the agent has:
	// servers hang up after a few wrong keys.
	IdentitiesOnly bool
}

// Method returns the method "publickey" with the keys of config. The order is
// OpenSSH's: keys that are in Keys and in the agent, in the agent's order; other
// keys of the agent; the rest of Keys.
//
// A connection to the agent serves one login. The connection is bound to the
// session first, OpenSSH PROTOCOL.agent section 1, so that keys for certain hosts
// only work; an agent without the extension works unbound.
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

// signers returns the signers to offer in this login, and records why other keys
// are not offered.
func (m *method) signers(ctx context.Context, x *userauth.Exchange) ([]ssh.Signer, error) {
	var agentKeys []*agentKey
	if m.config.Agent != nil {
		var err error
		agentKeys, err = m.askAgent(ctx, x)
		if ctx.Err() != nil {
			return nil, ctxerr.Of(ctx)
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
		return nil, fmt.Errorf("%w: none of the agent's %d keys is in Config.Keys (IdentitiesOnly)", userauth.ErrSkip, len(agentKeys))
	}
	return nil, fmt.Errorf("%w: no keys", userauth.ErrSkip)
}

// order returns the signers in the order of the offer, and the keys for which
// neither a file nor the agent can sign.
func (c *Config) order(agentKeys []*agentKey) (signers []ssh.Signer, missing []*key) {
	rest := slices.DeleteFunc(slices.Clone(c.Keys), func(s ssh.Signer) bool { return s == nil })
	var others []ssh.Signer
	for _, k := range agentKeys {
		i := slices.IndexFunc(rest, func(s ssh.Signer) bool { return sshkey.Equal(s.PublicKey(), k.public) })
		switch {
		case i >= 0:
			signer := rest[i]
			if file, ok := signer.(*key); ok {
				k.file, signer = file, k
			}
			signers = append(signers, signer)
			rest = slices.Delete(rest, i, i+1)
		case !c.IdentitiesOnly:
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

// other returns another signer with the private key of k: the agent first,
// because the agent asks for no passphrase.
func (c *Config) other(k *key, agentKeys []*agentKey) ssh.Signer {
	for _, s := range agentKeys {
		if sshkey.Equal(sshkey.Plain(s.public), sshkey.Plain(k.public)) {
			return s
		}
	}
	for _, s := range c.Keys {
		if f, ok := s.(*key); s != nil && (!ok || f.secret.missing == nil) && sshkey.Equal(sshkey.Plain(s.PublicKey()), sshkey.Plain(k.public)) {
			return s
		}
	}
	return nil
}
