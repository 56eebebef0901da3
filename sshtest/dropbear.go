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
// and ends it when the test ends. It accepts no password, and runs what
// clients ask for as the current user. A nil options means the defaults. The
// test fails if dropbear is not installed. In this mode dropbear logs to
// syslog, so Log knows only of a dropbear that could not start.
//
// Dropbear reads authorized keys from the home directory, and newer versions
// from elsewhere only if nobody else can write to any directory above, as
// everybody can to /tmp. So it runs in a mount namespace of its own, in which
// the user's home is the temporary directory; that takes Linux and unshare(1).
func Dropbear(tb testing.TB, options *DaemonOptions) *Server {
	tb.Helper()
	dropbear := program(tb, "dropbear", "dropbear-bin")
	d := newDaemon(tb, options)
	if o := d.options; o.Config != nil || o.UserCA != nil || o.HostCA != nil {
		tb.Fatal("sshtest: dropbear has no configuration file and no certificates")
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

// withHome returns the beginning of a command that runs the rest of it with
// another home directory for the current user, where /etc/passwd says so.
func (d *daemon) withHome(home string) []string {
	d.tb.Helper()
	line := fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", d.server.User, os.Geteuid(), os.Getegid(), home)
	return d.mounted(d.write("passwd", []byte(line)), "/etc/passwd")
}

// dropbearKey encodes a key as Dropbear's key files have it: the public key
// as on the wire, then the private numbers; of ed25519, seed and public key
// in one string.
func dropbearKey(k hostKey) []byte {
	public := k.signer.PublicKey()
	switch key := k.private.(type) {
	case ed25519.PrivateKey:
		return ssh.Marshal(struct {
			Type string
			Key  []byte
		}{public.Type(), key})
	case *ecdsa.PrivateKey:
		d, _ := key.Bytes() // fails for curves only that newKey does not make
		return append(public.Marshal(), ssh.Marshal(struct{ D *big.Int }{new(big.Int).SetBytes(d)})...)
	case *rsa.PrivateKey:
		numbers := struct{ D, P, Q *big.Int }{key.D, key.Primes[0], key.Primes[1]}
		return append(public.Marshal(), ssh.Marshal(numbers)...)
	}
	return nil
}
