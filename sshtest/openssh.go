package sshtest

import (
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// privsepDir must exist for a privileged sshd of Debian and its relatives.
// Elsewhere the directory does no harm.
const privsepDir = "/run/sshd"

// OpenSSH starts OpenSSH's sshd, with a configuration of its own in a
// temporary directory, and ends the sshd when the test ends. The sshd accepts
// any environment variable, forwards everything, and runs commands as the
// current user. The only password is the password of an Account. A nil options
// means the defaults. The test fails if sshd is not installed, and a failed
// test shows sshd's log. An sshd that runs as root refuses signals from
// clients, as always in root's sessions.
func OpenSSH(tb testing.TB, options *DaemonOptions) *Server {
	tb.Helper()
	sshd := program(tb, "sshd", "openssh-server")
	d := newDaemon(tb, options)
	if os.Geteuid() == 0 {
		d.check(os.MkdirAll(privsepDir, 0o755))
	}
	config := slices.Clone(d.options.Config)
	if a := d.options.Account; a != nil {
		command, lines := d.withAccount(*a)
		d.command, config = command, append(config, lines...)
	}
	config = append(config,
		"AuthorizedKeysFile "+strings.ReplaceAll(quoted(d.write("authorized_keys", d.authorizedKeys())), "%", "%%"),
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"PermitRootLogin yes",
		// The user's own startup files, which bash reads for sshd, are no part of a test.
		"SetEnv HOME="+quoted(d.dir),
		"StrictModes no",
		"UsePAM no",
		"UseDNS no",
		"PidFile none",
		"PrintMotd no",
		"PrintLastLog no",
		"Subsystem sftp internal-sftp",
		"LogLevel VERBOSE",
	)
	if ca := d.options.UserCA; ca != nil {
		config = append(config, "TrustedUserCAKeys "+quoted(d.write("user_ca.pub", ssh.MarshalAuthorizedKey(ca))))
	}
	if ca := d.options.HostCA; ca != nil {
		d.server.hostCA = ca.PublicKey()
	}
	for i, k := range d.keys {
		config = append(config, d.opensshKey(i, k)...)
	}
	file := d.write("sshd_config", []byte(strings.Join(config, "\n")+"\n"))
	d.command = append(append(d.command, sshd, "-i", "-e", "-f", file), d.options.Args...)
	return d.start()
}

// quoted is a path for sshd_config: names of tests may have spaces.
func quoted(path string) string { return `"` + path + `"` }

// opensshKey writes a host key, and a certificate if there is an authority,
// and returns the lines of sshd_config for both.
func (d *daemon) opensshKey(i int, k hostKey) []string {
	d.tb.Helper()
	block, err := ssh.MarshalPrivateKey(k.private, "")
	d.check(err)
	name := fmt.Sprintf("host_key_%d", i)
	lines := []string{"HostKey " + quoted(d.write(name, pem.EncodeToMemory(block)))}
	if ca := d.options.HostCA; ca != nil {
		cert, err := newCertificate(ca, k.signer.PublicKey(), ssh.HostCert, "127.0.0.1", "localhost")
		d.check(err)
		lines = append(lines, "HostCertificate "+quoted(d.write(name+"-cert.pub", ssh.MarshalAuthorizedKey(cert))))
	}
	return lines
}
