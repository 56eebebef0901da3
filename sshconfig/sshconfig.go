// Package sshconfig reads ssh_config(5) files as OpenSSH's client does, and says where each value comes from.
//
// A Loader holds the files and the facts about the local machine. Load returns a Config with a typed field for every
// keyword of OpenSSH 10:
//
//	config, err := sshconfig.Load(ctx, "web-1")
//	fmt.Println(config.HostName, config.Port, config.User)
//	fmt.Println(config.Explain("Port")) // port 2222 (/home/bob/.ssh/config line 3)
//
// The first value of a keyword wins; lists such as IdentityFile accumulate. Host, Match, Include, tokens, ${ENV}, list
// modifiers and canonical host names follow OpenSSH 10, and a line that OpenSSH refuses is an *Error with file and line.
// Config.String has the form of ssh -G.
//
// The package opens files and nothing else. Loader.Exec runs the commands of Match exec, and Loader.Lookup asks the name
// server for CanonicalizeHostname; both are functions of the caller.
//
// SetHost changes a Host block in a file that people edit, and leaves every other byte alone.
package sshconfig

import (
	"context"
	"io/fs"
	"net/netip"
	"strings"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
	"github.com/nacre-ssh/nacre/sshconfig/internal/system"
)

// Loader says which files to read, and answers the questions of the files. The zero Loader reads the user's and the
// system's file. A Loader may serve several goroutines as long as nobody changes a field.
type Loader struct {
	// Files are read in this order. Nil stands for UserFile and SystemFile.
	Files []File

	// FS is the tree for Files and for their Includes, with the root directory "/" at ".". Nil is the machine's own.
	FS fs.FS

	// Options are lines as the -o flag of ssh takes them: "Port=2222" or "Port 2222". Options win over all files.
	Options []string

	// Command is the remote command, or the subsystem's name with SessionType=subsystem, for Match command and Match
	// sessiontype.
	Command string

	// StdioForward is the -W flag of ssh: by default, ExitOnForwardFailure and ClearAllForwardings are yes.
	StdioForward bool

	// Local describes the local machine and user. Empty fields are filled from the system.
	Local Local

	// Getenv returns the value of an environment variable. Nil is os.LookupEnv.
	Getenv func(name string) (value string, ok bool)

	// Exec runs the command of a Match exec criterion, and reports whether the command exits with status 0. Load fails
	// at such a criterion when Exec is nil. Shell is the function with OpenSSH's behaviour.
	Exec func(ctx context.Context, command string) (matched bool, err error)

	// Lookup finds a host for CanonicalizeHostname and CanonicalizePermittedCNAMEs. The network is "ip", "ip4" or "ip6";
	// cname is the name at the end of the aliases, or empty. An error says that the host was not found. Load fails when
	// a file asks for a lookup and Lookup is nil.
	Lookup func(ctx context.Context, network, host string) (cname string, err error)

	// Addresses returns the addresses of the active network interfaces for Match localnetwork. Nil asks the system.
	Addresses func() ([]netip.Addr, error)

	// Version is the text for Match version. Empty is DefaultVersion.
	Version string

	// Defaults are the lists that +, - and ^ change, and the values of keywords that no file sets. Supported are the
	// names that a file may use. An empty list in either stands for OpenSSH's.
	Defaults, Supported Algorithms
}

// DefaultVersion is the release of OpenSSH with the behaviour of this package.
const DefaultVersion = "OpenSSH_10.5p1"

// File is a source of configuration.
type File struct {
	// Name is the path, and the name in errors. A leading ~/ is the user's home directory.
	Name string

	// Data is the content. Nil reads the file called Name.
	Data []byte

	// System marks the system's file: relative Includes are below /etc/ssh instead of ~/.ssh, and ~ is refused in them.
	System bool

	// Optional makes a missing file an empty one.
	Optional bool

	// Private refuses a file that others may write, as OpenSSH does for ~/.ssh/config and for every included file.
	Private bool
}

// UserFile returns the file ~/.ssh/config, with OpenSSH's check of its owner and mode.
func UserFile() File { return File{Name: "~/.ssh/config", Optional: true, Private: true} }

// SystemFile returns the file /etc/ssh/ssh_config, or its counterpart on Windows.
func SystemFile() File {
	return File{Name: system.ConfigDir() + "/ssh_config", Optional: true, System: true}
}

// Load returns the configuration for a destination from the user's and the system's file. Loader.Load has the details.
func Load(ctx context.Context, destination string) (*Config, error) {
	return new(Loader).Load(ctx, destination)
}

// Load returns the configuration for destination, of the form [user@]host or ssh://[user@]host[:port]. The host is
// usually an alias from a file. Errors about a line are of type *Error. An error of Exec or Lookup after the end of ctx
// satisfies errors.Is for ctx.Err() and context.Cause(ctx).
func (l *Loader) Load(ctx context.Context, destination string) (*Config, error) {
	if err := ctxerr.Of(ctx); err != nil {
		return nil, err
	}
	s, err := newState(ctx, l)
	if err != nil {
		return nil, err
	}
	for _, option := range l.Options {
		if err := s.option(option); err != nil {
			return nil, err
		}
	}
	if err := s.destination(destination); err != nil {
		return nil, err
	}
	if err := s.readAll(); err != nil {
		return nil, err
	}
	if err := s.hostName(); err != nil {
		return nil, err
	}
	s.config.HostName = s.host
	s.claim("hostname", origin{})
	if s.wantFinal {
		s.final = true
		if err := s.readAll(); err != nil {
			return nil, err
		}
	}
	if err := s.finish(); err != nil {
		return nil, err
	}
	return s.config, nil
}

// destination takes user, host and port from the destination, as main in OpenSSH's ssh.c does. Only fields that no
// option has set are changed.
func (s *state) destination(text string) error {
	user, host, port, err := syntax.ParseURI(text)
	switch {
	case err == syntax.ErrNoURI:
		host = text
		if at := strings.LastIndexByte(text, '@'); at == 0 {
			return errorf("destination %s has an empty user", syntax.Quote(text))
		} else if at > 0 {
			user, host = text[:at], text[at+1:]
		}
	case err != nil:
		return errorf("destination %s: %w", syntax.Quote(text), err)
	}
	if host == "" {
		return errorf("destination %s has no host", syntax.Quote(text))
	}
	if strings.HasPrefix(text, "-") {
		return errorf("destination %s looks like an option", syntax.Quote(text))
	}
	if user != "" && s.claim("user", origin{}) {
		s.config.User, s.givenUser = user, true
	}
	if port > 0 && s.claim("port", origin{}) {
		s.config.Port = port
	}
	if s.isSet("user") && !syntax.ValidUser(s.config.User) {
		return errorf("user %s has characters with a meaning in a shell", syntax.Quote(s.config.User))
	}
	if !syntax.ValidHost(host) {
		return errorf("host %s has characters with a meaning in a shell", syntax.Quote(host))
	}
	s.host, s.original, s.config.Host = host, host, host
	return nil
}
