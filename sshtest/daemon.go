package sshtest

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// DaemonOptions says how a real daemon differs from the default one: it runs
// as the current user, who may log in with Server.Signer only, and has host
// keys ed25519, ecdsa (nistp256, nistp384 and nistp521) and rsa, Dropbear all
// but nistp384.
type DaemonOptions struct {
	AuthorizedKeys []ssh.PublicKey // accepted beside Server.Signer
	Args           []string        // for the daemon, after those of the harness

	// The rest is for OpenSSH only.

	// Config are lines of sshd_config. They come before those of the harness
	// and overrule them; a Match would take them all in.
	Config  []string
	Account *Account      // a user with a password; default: the current user, without
	UserCA  ssh.PublicKey // user certificates that it signed are accepted
	HostCA  ssh.Signer    // signs a certificate for each host key
}

// A daemon is what a Server needs to run a program for each connection, with
// the connection's socket as its standard input and output, in the manner of
// inetd. So no port has to be found for it, nor its start be waited for.
type daemon struct {
	tb      testing.TB
	dir     string // everything it reads; the test removes it
	options DaemonOptions
	server  *Server
	keys    []hostKey
	command []string
}

// newDaemon makes the keys and the directory. The caller sets command and
// then calls start.
func newDaemon(tb testing.TB, options *DaemonOptions) *daemon {
	tb.Helper()
	d := &daemon{tb: tb, server: &Server{conns: make(map[net.Conn]bool)}}
	if options != nil {
		d.options = *options
	}
	u, err := user.Current()
	d.check(err)
	d.server.User = u.Username
	d.server.Signer = NewSigner(tb, ssh.KeyAlgoED25519)
	d.keys, err = hostKeys()
	d.check(err)
	d.dir = filepath.Join(tb.TempDir(), "ssh")
	d.check(os.Mkdir(d.dir, 0o700))
	return d
}

func (d *daemon) check(err error) {
	d.tb.Helper()
	if err != nil {
		d.tb.Fatalf("sshtest: %v", err)
	}
}

// program finds a daemon, which often is where an ordinary user's PATH does
// not lead. Its path is absolute, because sshd insists.
func program(tb testing.TB, name, debian string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if err != nil {
			path, err = exec.LookPath(filepath.Join(dir, name))
		}
	}
	if err != nil {
		tb.Fatalf("sshtest: %s is needed and not installed: apt-get install %s", name, debian)
	}
	path, err = filepath.Abs(path)
	if err != nil {
		tb.Fatalf("sshtest: %v", err)
	}
	return path
}

// write makes a file in the daemon's directory and returns its path.
func (d *daemon) write(name string, content []byte) string {
	d.tb.Helper()
	path := filepath.Join(d.dir, name)
	d.check(os.WriteFile(path, content, 0o600))
	return path
}

// mounted returns the beginning of a command that runs the rest of it in a mount
// namespace of its own, where a file or directory of the daemon's is found at
// another path as well. Nothing outside of that namespace changes.
func (d *daemon) mounted(path, over string) []string {
	d.tb.Helper()
	command := []string{"unshare", "--mount"}
	if os.Geteuid() != 0 {
		command = append(command, "--user", "--map-current-user", "--keep-caps")
	}
	command = append(command, "sh", "-c", `mount --bind "$0" "$1" && shift && exec "$@"`, path, over)
	try := exec.Command(command[0], append(command[1:], "true")...)
	if out, err := try.CombinedOutput(); err != nil {
		d.tb.Fatalf("sshtest: the daemon needs a %s of its own, which cannot be made here with unshare: %v: %s",
			over, err, bytes.TrimSpace(out))
	}
	return command
}

func (d *daemon) authorizedKeys() []byte {
	file := ssh.MarshalAuthorizedKey(d.server.Signer.PublicKey())
	for _, k := range d.options.AuthorizedKeys {
		file = append(file, ssh.MarshalAuthorizedKey(k)...)
	}
	return file
}

// start listens. From here on the test's end closes the server.
func (d *daemon) start() *Server {
	d.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d.server.kill = func() {
		cancel()
		killSessions(d.server.Addr)
	}
	d.server.serve = func(c net.Conn) { d.serve(ctx, c) }
	for _, k := range d.keys {
		d.server.HostKeys = append(d.server.HostKeys, k.signer.PublicKey())
	}
	d.check(d.server.start(false))
	d.server.closeAfter(d.tb)
	return d.server
}

// serve runs the daemon for one connection.
func (d *daemon) serve(ctx context.Context, c net.Conn) {
	defer c.Close()
	log := &d.server.log
	t, ok := c.(*net.TCPConn)
	if !ok {
		fmt.Fprintf(log, "sshtest: a daemon cannot serve a %T\n", c)
		return
	}
	socket, err := t.File()
	if err != nil {
		fmt.Fprintf(log, "sshtest: %v\n", err)
		return
	}
	cmd := exec.CommandContext(ctx, d.command[0], d.command[1:]...)
	cmd.Dir = d.dir
	mark := "harness 0 " + strings.ReplaceAll(d.server.Addr, ":", " ")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), connectionEnv + mark}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = socket, socket, log
	// A session that goes on in the background may hold on to stderr.
	cmd.WaitDelay = 200 * time.Millisecond
	err = cmd.Start()
	socket.Close()
	if err != nil {
		fmt.Fprintf(log, "sshtest: %v\n", err)
		return
	}
	if err := cmd.Wait(); err != nil {
		fmt.Fprintf(log, "sshtest: %s: %v\n", d.command[0], err)
	}
}

// connectionEnv is what sshd and dropbear tell a session about its connection.
// The harness gives it to the daemons as well, so that a session is known by
// it from its fork on.
const connectionEnv = "SSH_CONNECTION="

// killSessions kills the commands that a daemon left behind: without a
// terminal they do not notice that their connection is gone. It knows them,
// where there is a /proc, by the server's address in their environment.
func killSessions(addr string) {
	mark := " " + strings.ReplaceAll(addr, ":", " ")
	// One that forks in the meantime is found in the next round.
	for round := 0; round < 100 && killMarked(mark); round++ {
		time.Sleep(time.Millisecond)
	}
}

// killMarked reports whether it found any process with the mark.
func killMarked(mark string) (found bool) {
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		environ, _ := os.ReadFile(path)
		for variable := range strings.SplitSeq(string(environ), "\x00") {
			if !strings.HasPrefix(variable, connectionEnv) || !strings.HasSuffix(variable, mark) {
				continue
			}
			found = true
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if p, err := os.FindProcess(pid); err == nil {
				p.Kill()
				p.Release()
			}
		}
	}
	return found
}

// A hostKey is a host's key in both of its forms: the private one is for
// writing to a file.
type hostKey struct {
	private crypto.Signer
	signer  ssh.Signer
}

// hostKeys makes a key of each type, once for all daemons of the process,
// because RSA keys take their time.
var hostKeys = sync.OnceValues(func() ([]hostKey, error) {
	var keys []hostKey
	for _, keyType := range []string{
		ssh.KeyAlgoED25519,
		ssh.KeyAlgoECDSA256,
		ssh.KeyAlgoECDSA384,
		ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSA,
	} {
		private, err := newKey(keyType)
		if err != nil {
			return nil, err
		}
		signer, err := ssh.NewSignerFromSigner(private)
		if err != nil {
			return nil, err
		}
		keys = append(keys, hostKey{private, signer})
	}
	return keys, nil
})
