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
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/term"

	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// Flags are the flags -i, -known-hosts and -fingerprint.
type Flags struct {
	identity, knownHosts, fingerprint string
	agent                             net.Conn
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
// agent's keys and the usual files. Close ends the connection to the agent.
func (f *Flags) Auth() ([]userauth.Method, error) {
	if f.identity != "" {
		signer, err := readKey(f.identity)
		if err != nil {
			return nil, err
		}
		return []userauth.Method{userauth.PublicKeys(signer)}, nil
	}
	var methods []userauth.Method
	if socket := os.Getenv("SSH_AUTH_SOCK"); socket != "" {
		if c, err := net.Dial("unix", socket); err == nil {
			f.agent = c
			methods = append(methods, userauth.Agent(agent.NewClient(c)))
		}
	}
	if signers := defaultKeys(); len(signers) > 0 {
		methods = append(methods, userauth.PublicKeys(signers...))
	}
	return methods, nil
}

// Close ends the connection to the agent, if there is one.
func (f *Flags) Close() {
	if f.agent != nil {
		f.agent.Close()
	}
}

// defaultKeys reads the keys that OpenSSH would look for. Nobody has named
// them, so those that are missing, want a passphrase or are no keys are passed
// over.
func defaultKeys() []ssh.Signer {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	var signers []ssh.Signer
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		data, err := os.ReadFile(filepath.Join(home, ".ssh", name))
		if err != nil {
			continue
		}
		if signer, err := ssh.ParsePrivateKey(data); err == nil {
			signers = append(signers, signer)
		}
	}
	return signers
}

// readKey reads a private key and asks for its passphrase if it has one.
func readKey(file string) (ssh.Signer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(data)
	var encrypted *ssh.PassphraseMissingError
	if errors.As(err, &encrypted) {
		passphrase, err := readPassphrase(file)
		if err != nil {
			return nil, err
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(data, passphrase)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return signer, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return signer, nil
}

func readPassphrase(file string) ([]byte, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		return nil, fmt.Errorf("%s: the key has a passphrase, and there is no terminal to ask for it", file)
	}
	fmt.Fprintf(os.Stderr, "Passphrase for %s: ", file)
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
