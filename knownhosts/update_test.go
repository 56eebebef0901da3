package knownhosts_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// rotateVariable names a file. The test binary replaces the key "stale" of "host"
// in the file by the key "new".
const rotateVariable = "NACRE_TEST_ROTATE"

func rotateInProcess(file string) error {
	d, err := knownhosts.Load(file)
	if err != nil {
		return err
	}
	p := &knownhosts.Policy{Sources: []knownhosts.Source{d}, UpdateHostKeys: knownhosts.UpdateYes}
	return rotate(context.Background(), p, nil, "host", "new")
}

// rotate has a server at "host:22", known by the key "host", announce keys and
// prove all of them.
func rotate(ctx context.Context, p *knownhosts.Policy, remote net.Addr, announced ...string) error {
	keys := make([]ssh.PublicKey, len(announced))
	for i, name := range announced {
		keys[i] = key(name)
	}
	return p.RotateHostKeys(ctx, "host:22", remote, key("host"), keys, func(context.Context, []ssh.PublicKey) error { return nil })
}

func TestRotationWithAddresses(t *testing.T) {
	remote := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22}
	host, stale, fresh := text(key("host")), text(key("stale")), text(key("new"))
	for _, test := range []struct{ name, before, after, err string }{
		{"both names on each line", "host,192.0.2.1 " + host + "\nhost,192.0.2.1 " + stale + "\n",
			"host,192.0.2.1 " + host + "\nhost,192.0.2.1 " + fresh + "\n", ""},
		{"lines of their own", "host " + host + "\n192.0.2.1 " + host + "\n192.0.2.1 " + stale + "\n",
			"host " + host + "\n192.0.2.1 " + host + "\nhost,192.0.2.1 " + fresh + "\n", ""},
		{"an address that is missing is added", "host " + host + "\n", "host " + host + "\n192.0.2.1 " + host + "\nhost,192.0.2.1 " + fresh + "\n", ""},
		{"another name for the address", "host " + host + "\nother,192.0.2.1 " + stale + "\n", "", ":2 about the host has another name"},
		{"another address for the name", "host,192.0.2.2 " + host + "\n", "", ":1 about the host has another name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := write(t, test.before)
			p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, file)}, UpdateHostKeys: knownhosts.UpdateYes, CheckHostIP: true}
			err := rotate(t.Context(), p, remote, "host", "new")
			if test.err != "" {
				require.ErrorContains(t, err, file+test.err)
				require.Equal(t, test.before, read(t, file))
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.after, read(t, file))
		})
	}
}

func TestRotationLeavesAloneWhatIsNotItsOwn(t *testing.T) {
	host := "host " + text(key("host")) + "\n"
	for name, test := range map[string]struct {
		user, system string
		change       func(p *knownhosts.Policy)
		want         string
	}{
		"off":                  {host, "", func(p *knownhosts.Policy) { p.UpdateHostKeys = knownhosts.UpdateNo }, ""},
		"known to another DB":  {"other " + text(key("other")) + "\n", host, nil, ""},
		"a revoked key is new": {host, "@revoked * " + text(key("new")) + "\n", nil, "announced a revoked key"},
		"nobody to ask": {host, "", func(p *knownhosts.Policy) {
			p.UpdateHostKeys = knownhosts.UpdateAsk
			p.Prompt = func(context.Context, *knownhosts.Question) (string, error) { return "", errors.New("nobody there") }
		}, "nobody there"},
	} {
		t.Run(name, func(t *testing.T) {
			user, system := write(t, test.user), write(t, test.system)
			p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, user), load(t, system)}, UpdateHostKeys: knownhosts.UpdateYes}
			var changes []knownhosts.Change
			p.Trace = func(c knownhosts.Change) { changes = append(changes, c) }
			if test.change != nil {
				test.change(p)
			}
			err := rotate(t.Context(), p, nil, "host", "new")
			if test.want == "" {
				require.NoError(t, err)
				require.Empty(t, changes)
			} else {
				require.ErrorContains(t, err, test.want)
				require.Len(t, changes, 1)
				require.Contains(t, changes[0].String(), "keys of host in "+user+" are left as they are: ")
			}
			require.Equal(t, []string{test.user, test.system}, []string{read(t, user), read(t, system)})
		})
	}
	p := &knownhosts.Policy{Sources: []knownhosts.Source{knownhosts.Parse("f", []byte(host))}, UpdateHostKeys: knownhosts.UpdateYes}
	require.NoError(t, rotate(t.Context(), p, nil, "host", "new"), "a DB in memory")
	requireKind(t, knownhosts.Changed, p.VerifyHostKey(t.Context(), "host:22", nil, key("new")))
}

func TestRotationChangesTheFileThatHasTheHost(t *testing.T) {
	first, second := "other "+text(key("other"))+"\n", "host "+text(key("host"))+"\nhost "+text(key("stale"))+"\n"
	one, two := write(t, first), write(t, second)
	p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, one, two)}, UpdateHostKeys: knownhosts.UpdateYes}
	require.NoError(t, rotate(t.Context(), p, nil, "host", "new"))
	require.Equal(t, first, read(t, one))
	require.Equal(t, "host "+text(key("host"))+"\nhost "+text(key("new"))+"\n", read(t, two))
	require.NoError(t, p.VerifyHostKey(t.Context(), "host:22", nil, key("new")))
	requireKind(t, knownhosts.Changed, p.VerifyHostKey(t.Context(), "host:22", nil, key("stale")))
}

func TestRotationRefusesWhatIsNoKey(t *testing.T) {
	p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, write(t, ""))}, UpdateHostKeys: knownhosts.UpdateYes}
	require.ErrorContains(t, p.RotateHostKeys(t.Context(), "host:22", nil, nil, nil, nil), "no host key")
	require.ErrorContains(t, p.RotateHostKeys(t.Context(), "host:22", nil, key("host"), []ssh.PublicKey{nil}, nil), "no host key")
}

func TestRotationIsAskedForWithTheAddressThatWasDialled(t *testing.T) {
	p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, write(t, "alias "+text(key("host"))))}, UpdateHostKeys: knownhosts.UpdateAsk, HostKeyAlias: "alias"}
	var asked *[]*knownhosts.Question
	p.Prompt, asked = answering("yes")
	remote := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22}
	require.NoError(t, rotate(t.Context(), p, remote, "host", "new"))
	require.Equal(t, "host:22", (*asked)[0].Addr)
	require.Equal(t, remote, (*asked)[0].Remote)
}

func TestAFileThatIsReplacedStaysWhatItWas(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(target, []byte("# mine\nhost "+text(key("host"))+"\nhost "+text(key("stale"))+"\nlast "+text(key("x"))), 0o600))
	require.NoError(t, os.Chmod(target, 0o664))
	require.NoError(t, os.Symlink("target", link))
	d := load(t, link)
	p := &knownhosts.Policy{Sources: []knownhosts.Source{d}, UpdateHostKeys: knownhosts.UpdateYes}
	require.NoError(t, rotate(t.Context(), p, nil, "host", "new"))
	require.Equal(t, "# mine\nhost "+text(key("host"))+"\nlast "+text(key("x"))+"\nhost "+text(key("new"))+"\n", read(t, target))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.Equal(t, fs.ModeSymlink, info.Mode().Type())
	info, err = os.Stat(target)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o664), info.Mode())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 2)

	for _, k := range []string{"host", "new"} {
		requireKind(t, 0, verify(t, d, "host:22", key(k)))
	}
	err = verify(t, d, "host:22", key("stale"))
	requireKind(t, knownhosts.Changed, err)
	require.ErrorContains(t, err, link+":4: ssh-ed25519 "+ssh.FingerprintSHA256(key("new")), "lines are counted anew")
}

func TestRotationOnAFullDiskLosesNothing(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	before := "#" + strings.Repeat("x", 400) + "\nhost " + text(key("host")) + "\nhost " + text(key("stale")) + "\n"
	file := write(t, before)
	for command, want := range map[string]string{`ulimit -f 1 && exec "$0"`: "file too large", `exec "$0"`: ""} {
		cmd := exec.Command("sh", "-c", command, self)
		cmd.Env = append(os.Environ(), rotateVariable+"="+file)
		require.NoError(t, os.WriteFile(file, []byte(before), 0o600))
		out, err := cmd.CombinedOutput()
		require.Equal(t, want == "", err == nil, string(out))
		require.Contains(t, string(out), want)
		require.Equal(t, want != "", read(t, file) == before)
		left, err := os.ReadDir(filepath.Dir(file))
		require.NoError(t, err)
		require.Len(t, left, 1)
	}
}

// One host rotates its keys all the time while others are learned.
func TestRotationsAndNewHostsDoNotLoseOneAnother(t *testing.T) {
	const learners, hosts = 4, 25
	file := write(t, "host "+text(key("host"))+"\n")
	var learning, all sync.WaitGroup
	errs := make(chan error, learners*hosts+10000)
	for l := range learners {
		d := load(t, file)
		learning.Go(func() {
			for h := range hosts {
				errs <- d.Add(fmt.Sprintf("l%d-h%d:22", l, h), key("other"))
			}
		})
	}
	done := make(chan struct{})
	d := load(t, file)
	all.Go(func() {
		for i := 0; i < 5000; i++ {
			p := &knownhosts.Policy{Sources: []knownhosts.Source{d}, UpdateHostKeys: knownhosts.UpdateYes}
			errs <- rotate(context.Background(), p, nil, "host", []string{"a", "b"}[i%2])
			select {
			case <-done:
				return
			default:
			}
		}
	})
	learning.Wait()
	close(done)
	all.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	content := read(t, file)
	require.Equal(t, learners*hosts+2, strings.Count(content, "\n"))
	require.Empty(t, load(t, file).Skipped())
	for l := range learners {
		for h := range hosts {
			requireKind(t, 0, verify(t, load(t, file), fmt.Sprintf("l%d-h%d:22", l, h), key("other")))
		}
	}
}
