package sshtest

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// An Account is the user of an sshd, for tests of passwords. Only PAM of that
// sshd knows the account, which takes the place of the current user as
// Server.User, with Server.Password. Server.Signer and other authorized keys
// belong to the account too.
//
// The sshd runs as root in a mount namespace of its own, with another /etc. So
// the test must run as root, and fails otherwise.
type Account struct {
	Name     string // default "pearl"
	Password string // default random
	Expired  bool   // PAM demands a new password after the login

	// Codes are accepted in place of the password, each of them once.
	Codes []string

	// Files are in the home directory, by their relative paths: .shosts, for
	// example.
	Files map[string]string
}

// withAccount returns the beginning of a command whose rest runs where the
// account exists, and the lines of sshd_config for the account.
func (d *daemon) withAccount(a Account) (command, config []string) {
	d.tb.Helper()
	if os.Geteuid() != 0 {
		d.tb.Fatal("sshtest: an sshd with an Account needs root")
	}
	if a.Name == "" {
		a.Name = "pearl"
	}
	if a.Password == "" {
		a.Password = rand.Text()
	}
	d.server.User, d.server.Password = a.Name, a.Password

	etc := filepath.Join(d.dir, "etc")
	d.check(os.MkdirAll(filepath.Join(etc, "pam.d"), 0o755))
	d.write("etc/pam.d/sshd", d.pamService(a))
	d.write("etc/group", []byte("root:x:0:\nnogroup:x:65534:\n"))
	d.write("etc/nsswitch.conf", []byte("passwd: files\nshadow: files\ngroup: files\n"))
	// The account has root's number, for access to sshd's files.
	d.write("etc/passwd", fmt.Appendf(nil, "%s:x:0:0::%s:/bin/sh\nroot:x:0:0::/:/bin/sh\nsshd:x:65533:65534::%s:/bin/false\n",
		a.Name, d.home(a.Files), privsepDir))
	changed := 20000 // any day long ago
	if a.Expired {
		changed = 0
	}
	d.write("etc/shadow", fmt.Appendf(nil, "%s:%s:%d::::::\n", a.Name, d.crypt(a.Password), changed))
	d.check(os.Chmod(filepath.Join(etc, "passwd"), 0o644)) // sshd reads it unprivileged too
	return d.mounted(etc, "/etc"), []string{"UsePAM yes", "PasswordAuthentication yes", "KbdInteractiveAuthentication yes"}
}

// home makes the home directory.
func (d *daemon) home(files map[string]string) string {
	d.tb.Helper()
	home := filepath.Join(d.dir, "home")
	for name, content := range files {
		d.check(os.MkdirAll(filepath.Join(home, filepath.Dir(name)), 0o700))
		d.write(filepath.Join("home", name), []byte(content))
	}
	d.check(os.MkdirAll(home, 0o700))
	return home
}

// pamService returns the PAM configuration of sshd.
func (d *daemon) pamService(a Account) []byte {
	d.tb.Helper()
	codes := d.write("codes", []byte(strings.Join(a.Codes, "\n")+"\n"))
	script := d.write("check_code", fmt.Appendf(nil, `#!/bin/sh
code=$(tr -d '\000') # at the end of the input
[ -n "$code" ] && grep -qxF -e "$code" '%[1]s' && sed -i "/^$code\$/d" '%[1]s'
`, codes))
	d.check(os.Chmod(script, 0o700))
	service := "auth required pam_unix.so nodelay\naccount required pam_unix.so\n" +
		"password required pam_unix.so sha512\nsession required pam_permit.so\n"
	if len(a.Codes) > 0 {
		service = "auth sufficient pam_exec.so quiet expose_authtok [" + script + "]\n" + service
	}
	return []byte(service)
}

// crypt returns a password hash for /etc/shadow. Go has no crypt(3), but every
// Debian has a Perl.
func (d *daemon) crypt(password string) string {
	d.tb.Helper()
	hash, err := exec.Command("perl", "-e", `print crypt($ARGV[0], q($6$).$ARGV[1])`, password, rand.Text()[:16]).Output()
	d.check(err)
	return string(hash)
}
