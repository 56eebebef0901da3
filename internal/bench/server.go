package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

// A harness is the part of testing.TB for sshtest's servers outside of a test.
// Only an embedded testing.TB lets a program implement the interface.
type harness struct {
	testing.TB
	cleanups []func()
}

// A failure is the value of Fatal's panic, for harness.recover.
type failure string

func (h *harness) Helper()                   {}
func (h *harness) Failed() bool              { return false }
func (h *harness) Logf(string, ...any)       {}
func (h *harness) Fatal(args ...any)         { panic(failure(fmt.Sprint(args...))) }
func (h *harness) Fatalf(f string, a ...any) { panic(failure(fmt.Sprintf(f, a...))) }
func (h *harness) Cleanup(cleanup func())    { h.cleanups = append(h.cleanups, cleanup) }

// TempDir makes a directory that close removes.
func (h *harness) TempDir() string {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// recover makes an error of a failure.
func (h *harness) recover(err *error) {
	switch x := recover().(type) {
	case nil:
	case failure:
		*err = fmt.Errorf("%s", string(x))
	default:
		panic(x)
	}
}

// close runs the cleanups, the last first.
func (h *harness) close() {
	for _, cleanup := range slices.Backward(h.cleanups) {
		cleanup()
	}
	h.cleanups = nil
}

// newKeys makes key pairs, writes the private ones to files of a new
// directory, and returns their paths and the public ones.
func newKeys(tb testing.TB, n int) (files []string, public []ssh.PublicKey) {
	dir := tb.TempDir()
	for i := range n {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		check(tb, err)
		signer, err := ssh.NewSignerFromKey(key)
		check(tb, err)
		block, err := ssh.MarshalPrivateKey(key, "")
		check(tb, err)
		file := filepath.Join(dir, fmt.Sprintf("key%d", i))
		check(tb, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
		files, public = append(files, file), append(public, signer.PublicKey())
	}
	return files, public
}

func check(tb testing.TB, err error) {
	if err != nil {
		tb.Fatal(err)
	}
}

// newLogin is a login to a server for which the keys are good.
func newLogin(s *sshtest.Server, keys []string) *login {
	l := &login{Addr: s.Addr, User: s.User, Keys: keys}
	for _, k := range s.HostKeys {
		if k.Type() == ssh.KeyAlgoED25519 {
			l.HostKey = string(ssh.MarshalAuthorizedKey(k))
		}
	}
	return l
}

// sshd starts OpenSSH's server, once.
func (b *bench) sshd() *login {
	if b.login == nil {
		keys, public := newKeys(b.harness, 1)
		s := sshtest.OpenSSH(b.harness, &sshtest.DaemonOptions{AuthorizedKeys: public})
		b.login = newLogin(s, keys)
	}
	return b.login
}

// otherProcess starts the server of sshtest in a process of its own. end ends
// the process, as does the end of this program.
func (b *bench) otherProcess(ctx context.Context) (l *login, end func(), err error) {
	files, public := newKeys(b.harness, 1)
	cmd, err := taskCommand(ctx, &task{Kind: taskServe, Authorized: string(ssh.MarshalAuthorizedKey(public[0]))})
	if err != nil {
		return nil, nil, err
	}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	end = func() {
		stdin.Close()
		cmd.Process.Kill() // an orderly end of thousands of connections takes long
		cmd.Wait()
	}
	l = new(login)
	if err := json.NewDecoder(stdout).Decode(l); err != nil {
		end()
		return nil, nil, fmt.Errorf("the server in a process of its own: %w", err)
	}
	l.Keys = files
	return l, end, nil
}

// serve is the other process: serve writes the login to stdout, and serves
// until stdin ends.
func serve(t *task) error {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(t.Authorized))
	if err != nil {
		return err
	}
	s, err := sshtest.StartServer(&sshtest.Options{AuthorizedKeys: []ssh.PublicKey{key}})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := json.NewEncoder(os.Stdout).Encode(newLogin(s, nil)); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
