package sshtest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Dropbear starts Dropbear's server, with its keys in a temporary directory,
// and ends the server when the test ends. The server accepts no password, and
// runs commands as the current user. A nil options means the defaults. The
// test fails if dropbear is not installed. Since dropbear -i logs to syslog,
// Log shows only why dropbear could not start.
//
// Dropbear reads authorized keys from the home directory, and new versions
// accept other directories only below parents that nobody else can write to,
// unlike /tmp. So dropbear runs in a mount namespace of its own, where the
// user's home is the temporary directory. Linux and unshare(1) are needed.
func Dropbear(tb testing.TB, options *DaemonOptions) *Server {
	tb.Helper()
	dropbear := program(tb, "dropbear", "dropbear-bin")
	d := newDaemon(tb, options)
	if o := d.options; o.Config != nil || o.UserCA != nil || o.HostCA != nil {
		tb.Fatal("sshtest: Dropbear takes neither Config nor UserCA nor HostCA")
	}
	home := filepath.Join(d.dir, "home")
	d.check(os.MkdirAll(filepath.Join(home, ".ssh"), 0o700))
	d.write("home/.ssh/authorized_keys", d.authorizedKeys())

	d.command = append(d.withHome(home), dropbear, "-i", "-s")
	// Dropbear takes four host keys at most.
	d.keys = slices.DeleteFunc(slices.Clone(d.keys), func(k hostKey) bool {
		return k.signer.PublicKey().Type() == ssh.KeyAlgoECDSA384
	})
	for i, k := range d.keys {
		file := d.write(fmt.Sprintf("host_key_%d", i), dropbearKey(k))
		d.command = append(d.command, "-r", file)
	}
	d.command = append(d.command, d.options.Args...)
	return d.start()
}

// withHome returns the beginning of a command whose rest runs with another
// home directory for the current user, by another /etc/passwd.
func (d *daemon) withHome(home string) []string {
	d.tb.Helper()
	line := fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", d.server.User, os.Geteuid(), os.Getegid(), home)
	return d.mounted(d.write("passwd", []byte(line)), "/etc/passwd")
}

// dropbearKey encodes a key for Dropbear's key files: the public key as on the
// wire, then the private numbers; for ed25519, seed and public key in one
// string.
func dropbearKey(k hostKey) []byte {
	public := k.signer.PublicKey()
	switch key := k.private.(type) {
	case ed25519.PrivateKey:
		return ssh.Marshal(struct {
			Type string
			Key  []byte
		}{public.Type(), key})
	case *ecdsa.PrivateKey:
		d, _ := key.Bytes() // newKey makes no curve for which Bytes fails
		return append(public.Marshal(), ssh.Marshal(struct{ D *big.Int }{new(big.Int).SetBytes(d)})...)
	case *rsa.PrivateKey:
		numbers := struct{ D, P, Q *big.Int }{key.D, key.Primes[0], key.Primes[1]}
		return append(public.Marshal(), ssh.Marshal(numbers)...)
	}
	return nil
}
