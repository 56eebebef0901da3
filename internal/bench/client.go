package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

const (
	clientNacre   = "nacre"
	clientXCrypto = "xcrypto"
	clientOpenSSH = "openssh"
)

var (
	allClients = []string{clientNacre, clientXCrypto, clientOpenSSH}
	goClients  = allClients[:2]
)

// A suite is a cipher, and a MAC for ciphers without a tag.
type suite struct {
	Name   string // in results
	Cipher string
	MAC    string
}

var suites = []suite{
	{"aes128-gcm", "aes128-gcm@openssh.com", ""},
	{"aes256-gcm", "aes256-gcm@openssh.com", ""},
	{"chacha20-poly1305", "chacha20-poly1305@openssh.com", ""},
	{"aes128-ctr", "aes128-ctr", "hmac-sha2-256-etm@openssh.com"},
}

// A login is everything that a client must know. The files exist while the
// program runs.
type login struct {
	Addr    string
	User    string
	HostKey string   // a line of authorized_keys; the only key to accept
	Keys    []string // files of private keys, in the order of the offers
	Suite   suite    // the only offer; the client's own choice if empty
}

// A client is a client with its configuration. A client may remember a server
// from connection to connection.
type client interface {
	// run makes a connection, runs a command, and closes the connection. A nil
	// stdin is empty, a nil stdout is dropped.
	run(ctx context.Context, command string, stdin, stdout *os.File) error

	// dial makes a connection and authenticates.
	dial(ctx context.Context) (io.Closer, error)
}

// newClient configures a client for the login. The Go clients read their keys
// here, so that no measurement includes the reading.
func newClient(name string, l *login) (client, error) {
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(l.HostKey))
	if err != nil {
		return nil, err
	}
	if name == clientOpenSSH {
		return newOpenSSH(l)
	}
	var signers []ssh.Signer
	for _, file := range l.Keys {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		signer, err := ssh.ParsePrivateKey(pem)
		if err != nil {
			return nil, err
		}
		signers = append(signers, signer)
	}
	if name == clientXCrypto {
		return newXCrypto(l, hostKey, signers), nil
	}
	return newNacre(l, hostKey, signers), nil
}

// A nacreClient uses the façade, as a user's program does. The memory of its
// Config makes the second connection warm.
type nacreClient struct {
	target string
	config *nacre.Config
}

// newNacre offers a single host-key algorithm, so that all clients agree on
// the same key.
func newNacre(l *login, hostKey ssh.PublicKey, signers []ssh.Signer) *nacreClient {
	config := &nacre.Config{
		HostKey: transport.FixedHostKey(hostKey),
		Auth:    []userauth.Method{userauth.PublicKeys(signers...)},
	}
	config.Transport.HostKeyAlgorithms = []string{hostKey.Type()}
	if l.Suite.Cipher != "" {
		config.Transport.Ciphers = []string{l.Suite.Cipher}
	}
	if l.Suite.MAC != "" {
		config.Transport.MACs = []string{l.Suite.MAC}
	}
	return &nacreClient{l.User + "@" + l.Addr, config}
}

func (c *nacreClient) run(ctx context.Context, command string, stdin, stdout *os.File) error {
	cmd := nacre.Command(ctx, c.target, c.config, command)
	if stdin != nil {
		cmd.Stdin = stdin
	}
	if stdout != nil {
		cmd.Stdout = stdout
	}
	return cmd.Run()
}

func (c *nacreClient) dial(ctx context.Context) (io.Closer, error) {
	return nacre.Dial(ctx, c.target, c.config)
}

// An xcryptoClient uses x/crypto/ssh in the way of its examples.
type xcryptoClient struct {
	addr   string
	config *ssh.ClientConfig
}

// newXCrypto offers the same algorithms as newNacre.
func newXCrypto(l *login, hostKey ssh.PublicKey, signers []ssh.Signer) *xcryptoClient {
	config := &ssh.ClientConfig{
		User:              l.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(signers...)},
		HostKeyCallback:   ssh.FixedHostKey(hostKey),
		HostKeyAlgorithms: []string{hostKey.Type()},
	}
	if l.Suite.Cipher != "" {
		config.Ciphers = []string{l.Suite.Cipher}
	}
	if l.Suite.MAC != "" {
		config.MACs = []string{l.Suite.MAC}
	}
	return &xcryptoClient{l.Addr, config}
}

func (c *xcryptoClient) run(ctx context.Context, command string, stdin, stdout *os.File) error {
	client, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	if stdin != nil {
		// Session.Stdin would do the same, but fail if the command ends first.
		input, err := session.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(input, stdin)
			input.Close()
		}()
	}
	if stdout != nil {
		session.Stdout = stdout
	}
	return session.Run(command)
}

func (c *xcryptoClient) dial(ctx context.Context) (io.Closer, error) { return c.connect(ctx) }

// connect dials and logs in. The context ends the dial only, for x/crypto/ssh
// takes none.
func (c *xcryptoClient) connect(ctx context.Context) (*ssh.Client, error) {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return nil, err
	}
	conn, channels, requests, err := ssh.NewClientConn(nc, c.addr, c.config)
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(conn, channels, requests), nil
}

// opensshClient runs ssh, with nothing of this user's configuration.
type opensshClient struct {
	args []string
}

// hostAlias is the server's name in known_hosts, whatever its port is.
const hostAlias = "bench"

// newOpenSSH writes a known_hosts file beside the keys, and builds a command
// line that reads no other files.
func newOpenSSH(l *login) (*opensshClient, error) {
	host, port, err := net.SplitHostPort(l.Addr)
	if err != nil {
		return nil, err
	}
	knownHosts := filepath.Join(filepath.Dir(l.Keys[0]), "known_hosts")
	if err := os.WriteFile(knownHosts, []byte(hostAlias+" "+l.HostKey), 0o600); err != nil {
		return nil, err
	}
	args := []string{"-F", "none", "-T", "-p", port, "-l", l.User}
	for _, option := range []string{
		"BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "LogLevel=ERROR",
		"UserKnownHostsFile=" + knownHosts, "GlobalKnownHostsFile=none", "HostKeyAlias=" + hostAlias,
		"HostKeyAlgorithms=" + strings.Fields(l.HostKey)[0],
	} {
		args = append(args, "-o", option)
	}
	for _, key := range l.Keys {
		args = append(args, "-i", key)
	}
	if l.Suite.Cipher != "" {
		args = append(args, "-c", l.Suite.Cipher)
	}
	if l.Suite.MAC != "" {
		args = append(args, "-m", l.Suite.MAC)
	}
	return &opensshClient{append(args, host)}, nil
}

func (c *opensshClient) command(ctx context.Context, command string) *exec.Cmd {
	return exec.CommandContext(ctx, "ssh", append(slices.Clone(c.args), command)...)
}

// run starts ssh, whose standard error is part of the error.
func (c *opensshClient) run(ctx context.Context, command string, stdin, stdout *os.File) error {
	cmd := c.command(ctx, command)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if stdin != nil {
		cmd.Stdin = stdin
	}
	if stdout != nil {
		cmd.Stdout = stdout
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ssh: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}

func (c *opensshClient) dial(context.Context) (io.Closer, error) {
	return nil, fmt.Errorf("ssh has no connection to hold in this process")
}
