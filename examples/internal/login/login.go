// Package login has the shared flags of the examples: how to know the server and
// how to log in. The defaults are those of OpenSSH's client with the same files;
// a program of your own decides for itself.
package login

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// Flags are the flags -i, -known-hosts and -fingerprint.
type Flags struct {
	identity, knownHosts, fingerprint string
}

// Parse parses the arguments of a program. The error is a single line; for -h the
// error is [flag.ErrHelp], and the usage was printed.
func (f *Flags) Parse(set *flag.FlagSet, usage string, args []string) error {
	set.StringVar(&f.identity, "i", "", "private key `file`; default: the agent and the keys in ~/.ssh")
	set.StringVar(&f.knownHosts, "known-hosts", "", "known_hosts `file`; default: ~/.ssh/known_hosts")
	set.Func("fingerprint", "accept the host key with this `fingerprint`, SHA256:…, and no other", func(s string) error {
		f.fingerprint = s
		_, err := knownhosts.Fingerprint(s) // refuses an empty fingerprint, of an unset variable, say
		return err
	})
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "usage: %s %s\n", set.Name(), usage)
		set.SetOutput(os.Stderr)
		set.PrintDefaults()
	}
	return err
}

// HostKey returns the verifier of the server: the pin, or the known_hosts file.
func (f *Flags) HostKey() (transport.HostKeyVerifier, error) {
	if f.fingerprint != "" {
		return knownhosts.Fingerprint(f.fingerprint)
	}
	file := f.knownHosts
	if file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		file = filepath.Join(home, ".ssh", "known_hosts")
	} else if _, err := os.Stat(file); err != nil {
		return nil, err // a named file has to be there
	}
	return knownhosts.Load(file)
}

// Auth returns the methods for the login: the named key, or else the agent's keys
// and the usual files.
func (f *Flags) Auth(ctx context.Context) ([]userauth.Method, error) {
	options := &identity.Options{Passphrase: askPassphrase}
	config := &identity.Config{Agent: identity.SystemAgent}
	if f.identity != "" {
		var err error
		if config.Keys, err = identity.Load(ctx, f.identity, options); err != nil {
			return nil, err
		}
		config.IdentitiesOnly = true
	} else {
		config.Keys = defaultKeys(ctx, options)
	}
	return []userauth.Method{identity.Method(config)}, nil
}

// defaultKeys loads the keys in the places where OpenSSH looks. Missing and broken
// files are passed over, since nobody has named them.
func defaultKeys(ctx context.Context, options *identity.Options) (signers []ssh.Signer) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		if keys, err := identity.Load(ctx, filepath.Join(home, ".ssh", name), options); err == nil {
			signers = append(signers, keys...)
		}
	}
	return signers
}

// askPassphrase asks at the terminal, once the server wants the key.
func askPassphrase(_ context.Context, r *identity.PassphraseRequest) ([]byte, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		return nil, errors.New("standard input is no terminal, so nobody can be asked for the passphrase")
	}
	fmt.Fprintf(os.Stderr, "Passphrase for %s: ", r.File)
	defer fmt.Fprintln(os.Stderr)
	return term.ReadPassword(in)
}

// Interruptible returns a context for the first Ctrl-C to end; a second Ctrl-C ends
// the program at once.
func Interruptible() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// OneLine returns an error's text without characters for a terminal to obey.
func OneLine(err error) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, err.Error())
}
