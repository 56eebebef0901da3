package knownhosts_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// learnVariable names a file. The test binary, started as a process of its own,
// adds the hosts of its arguments to the file.
const learnVariable = "NACRE_TEST_LEARN"

func TestAddCreatesTheFirstFile(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, ".ssh", "known_hosts"), write(t, "")
	d := load(t, first, second)
	require.NoError(t, d.Add("Host.Example.:22", key("host")))
	require.NoError(t, d.Add("host.example:2222", certificate(signer("ca"), nil)))
	require.Equal(t, "host.example "+text(key("host"))+"\n[host.example]:2222 "+text(key("host"))+"\n", read(t, first))
	require.Empty(t, read(t, second))
	for _, name := range []string{first, filepath.Dir(first)} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Zero(t, info.Mode()&0o077, name)
	}
	for _, d := range []*knownhosts.DB{d, load(t, first)} {
		requireKind(t, 0, verify(t, d, "host.example:22", key("host")))
		err := verify(t, d, "host.example:22", key("other"))
		requireKind(t, knownhosts.Changed, err)
		require.ErrorContains(t, err, first)
	}
}

func TestAddRecordsAKeyOnce(t *testing.T) {
	file := write(t, "host "+text(key("host"))+"\n*.example "+text(key("host"))+"\n")
	before := read(t, file)
	d := load(t, file)
	require.NoError(t, d.Add("host:22", key("host")))
	require.NoError(t, d.Add("a.example:22", key("host")))
	require.Equal(t, before, read(t, file))
	for range 2 {
		require.NoError(t, d.Add("host:2222", key("host"))) // known by fallback only
		require.NoError(t, d.Add("host:22", key("other")))
	}
	require.Equal(t, before+"[host]:2222 "+text(key("host"))+"\nhost "+text(key("other"))+"\n", read(t, file))
	requireKind(t, 0, verify(t, d, "host:22", key("host")))
	requireKind(t, 0, verify(t, d, "host:22", key("other")))
}

// H7: mode, link and other lines stay, and a missing final newline is added.
func TestAddKeepsWhatIsThere(t *testing.T) {
	file := write(t, "# mine\nbad line\nlast "+text(key("other")))
	require.NoError(t, os.Chmod(file, 0o640))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(file, link))
	before := read(t, file)

	require.NoError(t, load(t, link).Add("host:22", key("host")))
	require.Equal(t, before+"\nhost "+text(key("host"))+"\n", read(t, file))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.Equal(t, fs.ModeSymlink, info.Mode().Type())
	info, err = os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), info.Mode())
	requireKind(t, 0, verify(t, load(t, file), "last:22", key("other")))
}

func TestAddCreatesTheTargetOfALink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("target", link))
	require.NoError(t, load(t, link).Add("host:22", key("host")))
	require.Equal(t, "host "+text(key("host"))+"\n", read(t, filepath.Join(dir, "target")))
}

func TestAddRefusesWhatWouldReadBackAsSomethingElse(t *testing.T) {
	file := write(t, "")
	d := load(t, file)
	for _, host := range []string{
		"*", "h?st", "!host", "host,other", "@revoked", "#host", "|1|a|b", "a b", "a\tb", "a\nb", "a\rb", "a\x00b", "a\x7fb",
		"\ufeffhost", "a\u00a0b", "a\u2028b", `a"b`, `a\b`, "a'b",
	} {
		require.ErrorContains(t, d.Add(host+":22", key("host")), "cannot be written to known_hosts", "%q", host)
	}
	require.ErrorContains(t, d.Add("host:22", nil), "no host key")
	require.Empty(t, read(t, file))
	require.Nil(t, d.HostKeyAlgorithms("host:22"))
}

func TestAddThatCannotWriteRecordsNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "known_hosts")
	d := load(t, file)
	require.NoError(t, os.Mkdir(file, 0o700))
	var pathError *fs.PathError
	require.ErrorAs(t, d.Add("host:22", key("host")), &pathError)
	requireKind(t, knownhosts.Unknown, verify(t, d, "host:22", key("host")))
}

func TestAddWithoutFileStaysInMemory(t *testing.T) {
	for _, d := range []*knownhosts.DB{new(knownhosts.DB), load(t), load(t, os.DevNull), knownhosts.Parse("f", nil)} {
		require.NoError(t, d.Add("host:22", key("host")))
		requireKind(t, 0, verify(t, d, "host:22", key("host")))
		require.ErrorContains(t, verify(t, d, "host:22", key("other")), "on record: (in memory): ssh-ed25519 ")
	}
}

// Several DBs of one file stand for several processes, and each DB has several
// goroutines.
func TestConcurrentAddsLoseAndTearNothing(t *testing.T) {
	const writers, hosts = 6, 40
	file := filepath.Join(t.TempDir(), "known_hosts")
	var (
		all    sync.WaitGroup
		errors = make(chan error, 2*writers*hosts*3)
	)
	for w := range writers {
		d := load(t, file)
		for range 2 { // both add the same, and one of them does so in vain
			all.Go(func() {
				for h := range hosts {
					addr := fmt.Sprintf("w%d-h%d.example:22", w, h)
					errors <- d.Add(addr, key("host"))
					errors <- d.VerifyHostKey(t.Context(), addr, nil, key("host"))
					d.HostKeyAlgorithms(addr)
				}
			})
		}
	}
	all.Wait()
	close(errors)
	for err := range errors {
		require.NoError(t, err)
	}
	require.Equal(t, writers*hosts, strings.Count(read(t, file), "\n"))
	d := load(t, file)
	require.Empty(t, d.Skipped())
	for w := range writers {
		for h := range hosts {
			requireKind(t, 0, verify(t, d, fmt.Sprintf("w%d-h%d.example:22", w, h), key("host")))
		}
	}
}

// H7: a host that all processes learn is recorded once.
func TestManyProcessesLearnAtOnce(t *testing.T) {
	const processes = 100
	target := write(t, "# mine\nlast "+text(key("other"))) // without a line feed
	require.NoError(t, os.Chmod(target, 0o640))
	before := read(t, target)
	file := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(target, file))
	self, err := os.Executable()
	require.NoError(t, err)
	running := make(map[*exec.Cmd]*strings.Builder)
	for i := range processes {
		cmd := exec.CommandContext(t.Context(), self, fmt.Sprintf("own-%d.example:22", i), "common.example:2222")
		says := new(strings.Builder)
		cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), learnVariable+"="+file), says, says
		require.NoError(t, cmd.Start())
		running[cmd] = says
	}
	for cmd, says := range running {
		require.NoError(t, cmd.Wait(), says)
	}

	content := read(t, target)
	require.True(t, strings.HasPrefix(content, before+"\n"))
	require.True(t, strings.HasSuffix(content, "\n"))
	d := load(t, file)
	require.Empty(t, d.Skipped())
	requireKind(t, 0, verify(t, d, "last:22", key("other")))
	requireKind(t, 0, verify(t, d, "common.example:2222", key("host")))
	require.Equal(t, processes+1, strings.Count(content, "\n")-strings.Count(before+"\n", "\n"))
	for i := range processes {
		require.Equal(t, 1, strings.Count(content, fmt.Sprintf("\nown-%d.example %s\n", i, text(key("host")))))
	}
	info, err := os.Lstat(file)
	require.NoError(t, err)
	require.Equal(t, fs.ModeSymlink, info.Mode().Type())
	info, err = os.Stat(target)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), info.Mode())
}

func TestNewNamesAreHashedWhereOthersAre(t *testing.T) {
	file := write(t, "# mine\n|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA= "+text(key("other"))+"\n")
	require.NoError(t, load(t, file).Add("host:2222", key("host")))
	require.NotContains(t, read(t, file), "[host]:2222")
	require.Equal(t, []int{3}, find(t, "[host]:2222", file))
	err := verify(t, load(t, file), "host:2222", key("other"))
	requireKind(t, knownhosts.Changed, err)
	require.ErrorContains(t, err, "ssh-keygen -R '[host]:2222' -f '"+file+"'")
}

// The file is not loaded again.
func TestAddSeesWhatOthersWroteMeanwhile(t *testing.T) {
	file := write(t, "")
	d := load(t, file)
	require.NoError(t, load(t, file).Add("host:22", key("host")))
	before := read(t, file)
	require.NoError(t, d.Add("host:22", key("host")))
	require.Equal(t, before, read(t, file))
	requireKind(t, 0, verify(t, d, "host:22", key("host")))
}

// The system ends a write in the middle of a line: a limit on the size of files,
// 512 bytes here, cuts the write off as a full disk does.
func TestFullDiskLosesNothing(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for _, room := range []int{0, 1, 20} {
		line := "host " + text(key("host")) + "\n"
		before := "#" + strings.Repeat("x", 512-room-len(line)-2) + "\n" + line
		file := write(t, before)
		learn := func(command string) ([]byte, error) {
			cmd := exec.Command("sh", "-c", command, self)
			cmd.Env = append(os.Environ(), learnVariable+"="+file)
			return cmd.CombinedOutput()
		}
		out, err := learn(`ulimit -f 1 && exec "$0" other:22`)
		require.Error(t, err)
		require.Contains(t, string(out), "knownhosts: write "+file+": file too large")
		require.Equal(t, before, read(t, file))
		out, err = learn(`exec "$0" other:22`)
		require.NoError(t, err, string(out))
		require.Equal(t, before+"other "+text(key("host"))+"\n", read(t, file))
	}
}
