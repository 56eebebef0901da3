// Package login has the flags that the examples share: how to know the server
// and how to log in. A program of your own decides both for itself; this is
// what OpenSSH's client would do with the same files.
package login

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
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

// Parse parses the arguments of a program. Its error is one line, and -h is
// the error [flag.ErrHelp] after the usage was printed.
func (f *Flags) Parse(set *flag.FlagSet, usage string, args []string) error {
	set.StringVar(&f.identity, "i", "", "private key `file`; default: the agent and the keys in ~/.ssh")
	set.StringVar(&f.knownHosts, "known-hosts", "", "known_hosts `file`; default: ~/.ssh/known_hosts")
	set.Func("fingerprint", "accept the host key with this `fingerprint`, SHA256:…, and no other", func(s string) error {
		f.fingerprint = s
		_, err := knownhosts.Fingerprint(s) // an empty one, from an unset variable, is none
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

// HostKey returns what verifies the server: the pin, or the known_hosts file.
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
		return nil, err // a file that was named is not taken for empty
	}
	return knownhosts.Load(file)
}

// Auth returns the methods to log in with: the key that was named, or else the
// agent's keys and the usual files.
func (f *Flags) Auth(ctx context.Context) ([]userauth.Method, error) {
	options := &identity.Options{Passphrase: askPassphrase}
	config := &identity.Config{Agent: identity.SystemAgent}
	if f.identity != "" {
		var err error
		if config.Keys, err = identity.Load(ctx, f.identity, options); err != nil {
			return nil, err
		}
		config.Only = true
	} else {
		config.Keys = defaultKeys(ctx, options)
	}
	return []userauth.Method{identity.Method(config)}, nil
}

// defaultKeys loads the keys that OpenSSH would look for. Nobody has named them,
// so those that are missing or no keys are passed over.
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
		return nil, errors.New("there is no terminal to ask for it")
	}
	fmt.Fprintf(os.Stderr, "Passphrase for %s: ", r.File)
	defer fmt.Fprintln(os.Stderr)
	return term.ReadPassword(in)
}

// SplitTarget splits "user@host[:port]" for those who stack the layers by
// hand: into the user, and the address to dial and to look up. nacre.Dial does
// that by itself.
func SplitTarget(target string) (user, addr string, err error) {
	at := strings.LastIndexByte(target, '@')
	user, host, port := target[:max(at, 0)], target[at+1:], "22"
	if h, p, err := net.SplitHostPort(host); err == nil {
		host, port = h, p
	} else if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
		host = ip.String()
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if user == "" || host == "" || strings.Contains(target, "/") || strings.ContainsAny(host, "[]") || err != nil || n == 0 {
		return "", "", fmt.Errorf("target %q is not user@host[:port]", target)
	}
	return user, net.JoinHostPort(host, port), nil
}

// Interruptible returns a context that ends at the first Ctrl-C; the second one
// ends the program at once.
func Interruptible() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// OneLine is an error's text without what would disturb a terminal.
func OneLine(err error) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, err.Error())
}
