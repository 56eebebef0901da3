package sshtest

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"io"
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

// DaemonOptions says how a real daemon differs from the default. The default
// runs as the current user, lets in Server.Signer only, and has host keys
// ed25519, ecdsa (nistp256, nistp384 and nistp521) and rsa; Dropbear has no
// nistp384.
type DaemonOptions struct {
	AuthorizedKeys []ssh.PublicKey // accepted beside Server.Signer
	Args           []string        // for the daemon, after those of the harness

	// The rest is for OpenSSH only.

	// Config are lines of sshd_config, before the lines of the harness and
	// stronger. A Match would apply to all lines that follow.
	Config  []string
	Account *Account      // a user with a password; default: the current user, without
	UserCA  ssh.PublicKey // signs user certificates
	HostCA  ssh.Signer    // signs a certificate for each host key
}

// A daemon starts a program for each connection, with the socket as standard
// input and output, in the manner of inetd. So nobody has to find a free port,
// or to wait until the daemon listens.
type daemon struct {
	tb      testing.TB
	dir     string // of all its files; the test removes the directory
	options DaemonOptions
	server  *Server
	keys    []hostKey
	command []string
	stderr  *os.File // of all processes; the log reads the other end
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

// check fails the test, with a single prefix for errors of this package and of
// others.
func (d *daemon) check(err error) {
	d.tb.Helper()
	if err != nil {
		d.tb.Fatalf("sshtest: %s", strings.TrimPrefix(err.Error(), "sshtest: "))
	}
}

// program finds a daemon, also outside of an ordinary user's PATH. The path is
// absolute, because sshd insists.
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

// mounted returns the beginning of a command whose rest runs in a mount
// namespace of its own. There, the file or directory of the daemon is mounted
// over another path. Nothing outside of the namespace changes.
func (d *daemon) mounted(path, over string) []string {
	d.tb.Helper()
	command := []string{"unshare", "--mount"}
	if os.Geteuid() != 0 {
		command = append(command, "--user", "--map-current-user", "--keep-caps")
	}
	command = append(command, "sh", "-c", `mount --bind "$0" "$1" && shift && exec "$@"`, path, over)
	try := exec.Command(command[0], append(command[1:], "true")...)
	if out, err := try.CombinedOutput(); err != nil {
		d.tb.Fatalf("sshtest: unshare cannot give the daemon its own %s: %v: %s",
			over, err, bytes.TrimSpace(out))
	}
	return command
}

// authorizedKeys is the content of an authorized_keys file for Server.Signer
// and the keys of the options.
func (d *daemon) authorizedKeys() []byte {
	file := ssh.MarshalAuthorizedKey(d.server.Signer.PublicKey())
	for _, k := range d.options.AuthorizedKeys {
		file = append(file, ssh.MarshalAuthorizedKey(k)...)
	}
	return file
}

// start listens. The end of the test closes the server.
func (d *daemon) start() *Server {
	d.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d.server.kill = func() {
		cancel()
		killSessions(d.server.Addr)
	}
	d.server.finish = d.pipeLog()
	d.server.serve = func(c net.Conn) { d.serve(ctx, c) }
	for _, k := range d.keys {
		d.server.HostKeys = append(d.server.HostKeys, k.signer.PublicKey())
	}
	d.check(d.server.start(false))
	d.server.closeAfter(d.tb)
	return d.server
}

// pipeLog makes a pipe from the daemons to the server's log, and returns a
// function that waits for the rest of the log. A session that goes on in the
// background holds the pipe until Close kills the session.
func (d *daemon) pipeLog() (finish func()) {
	d.tb.Helper()
	r, w, err := os.Pipe()
	d.check(err)
	d.stderr = w
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		io.Copy(&d.server.log, r)
	}()
	return sync.OnceFunc(func() {
		w.Close()
		r.SetReadDeadline(time.Now().Add(killDelay)) // for systems without a /proc
		<-copied
		r.Close()
	})
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
	cmd.Stdin, cmd.Stdout, cmd.Stderr = socket, socket, d.stderr
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

// connectionEnv is the variable by which sshd and dropbear tell a session
// about the connection. The harness sets the variable for the daemons as well,
// so that a session has the mark from the fork on.
const connectionEnv = "SSH_CONNECTION="

// killSessions kills the commands left behind by a daemon: without a terminal,
// a command does not notice the end of its connection. The mark is the
// server's address in the environment, readable where there is a /proc.
func killSessions(addr string) {
	mark := " " + strings.ReplaceAll(addr, ":", " ")
	// The next round finds children forked in the meantime.
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

// A hostKey is a host's key in two forms. The private form is for files.
type hostKey struct {
	private crypto.Signer
	signer  ssh.Signer
}

// hostKeys makes a key of each type, once for all daemons of the process,
// because RSA keys take long.
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
