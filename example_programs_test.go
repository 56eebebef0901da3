package nacre_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

// programs are the built examples, with the key of their user.
type programs struct {
	dir    string // has the programs, and serves as home directory
	key    string // a private key file
	public ssh.PublicKey
}

func buildExamples(t *testing.T) *programs {
	t.Helper()
	p := &programs{dir: t.TempDir()}
	out, err := exec.Command("go", "build", "-o", p.dir+"/", "./examples/cat", "./examples/exec").CombinedOutput()
	require.NoError(t, err, string(out))
	p.key = filepath.Join(p.dir, "key")
	out, err = exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", p.key).CombinedOutput()
	require.NoError(t, err, string(out))
	pem, err := os.ReadFile(p.key)
	require.NoError(t, err)
	signer, err := ssh.ParsePrivateKey(pem)
	require.NoError(t, err)
	p.public = signer.PublicKey()
	return p
}

// ran is the result of a program.
type ran struct {
	status         int
	stdout, stderr string
}

func (p *programs) run(t *testing.T, env []string, stdin string, args ...string) ran {
	t.Helper()
	cmd := exec.Command(filepath.Join(p.dir, args[0]), args[1:]...)
	cmd.Env = append([]string{"HOME=" + p.dir, "PATH=" + os.Getenv("PATH")}, env...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return ran{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// refused checks that a program has failed with a single line, matching want.
func refused(t *testing.T, r ran, want string) {
	t.Helper()
	require.Equal(t, 255, r.status, r.stderr)
	require.Empty(t, r.stdout)
	require.Regexp(t, `^(cat|exec): [^\n]+\n$`, r.stderr)
	require.Regexp(t, want, r.stderr)
	require.NotContains(t, r.stderr, "goroutine")
}

const echoed = "We got this from \"cat\": This data will be echoed back to us by \"cat.\"\r\n"

func TestExamplesAsPrograms(t *testing.T) {
	p := buildExamples(t)
	require.Equal(t, ran{0, echoed, ""}, p.run(t, nil, "", "cat")) // with a server of its own
	for name, s := range map[string]*sshtest.Server{
		"embedded": sshtest.NewServer(t, &sshtest.Options{Exec: true, AuthorizedKeys: []ssh.PublicKey{p.public}}),
		"openssh":  sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{p.public}}),
		"dropbear": sshtest.Dropbear(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{p.public}}),
	} {
		t.Run(name, func(t *testing.T) {
			known := filepath.Join(t.TempDir(), "known_hosts")
			require.NoError(t, os.WriteFile(known, s.KnownHosts(), 0o600))
			login := []string{"-i", p.key, "-known-hosts", known, s.Target}
			cat := func(args ...string) ran { return p.run(t, nil, "", append([]string{"cat"}, args...)...) }
			execute := func(stdin string, command ...string) ran {
				return p.run(t, nil, stdin, append(append([]string{"exec"}, login...), command...)...)
			}
			require.Equal(t, ran{0, echoed, ""}, cat(login...))
			require.Equal(t, ran{0, "out\n", "err\n"}, execute("", "echo out; echo err >&2"))
			require.Equal(t, ran{0, "two words\n", ""}, execute("", "echo", "two", "words"))
			require.Equal(t, ran{0, "through\x00\xff", ""}, execute("through\x00\xff", "cat"))
			for _, status := range []string{"0", "1", "3", "254", "255"} {
				r := execute("", "exit "+status)
				require.Equal(t, ran{exitStatus(status), "", ""}, r)
			}
			r := execute("", "echo before; kill -TERM $$")
			require.Equal(t, 255, r.status)
			require.Equal(t, "before\n", r.stdout)
			require.Equal(t, "exec: command was ended by signal \"TERM\"\n", r.stderr)

			identity := []string{"-i", p.key, "-fingerprint"}
			require.Equal(t, ran{0, echoed, ""}, cat(append(identity, ssh.FingerprintSHA256(s.HostKey), s.Target)...))
			refused(t, cat(append(identity, ssh.FingerprintSHA256(p.public), s.Target)...), regexp.QuoteMeta("SHA256:"))
		})
	}
}

func exitStatus(s string) int {
	n := 0
	for _, c := range s {
		n = 10*n + int(c-'0')
	}
	return n
}

func TestExamplesRefuse(t *testing.T) {
	p := buildExamples(t)
	s := sshtest.NewServer(t, &sshtest.Options{AuthorizedKeys: []ssh.PublicKey{p.public}})
	file := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	known := file("good", string(s.KnownHosts()))
	other := sshtest.NewSigner(t, ssh.KeyAlgoED25519).PublicKey()
	changed := file("changed", "# comment\n["+strings.Replace(s.Addr, ":", "]:", 1)+" "+string(ssh.MarshalAuthorizedKey(other)))
	fingerprint := regexp.QuoteMeta(ssh.FingerprintSHA256(s.HostKey))
	for name, test := range map[string]struct {
		args []string // before the target, for cat and for exec
		want string
	}{
		"unknown key":           {[]string{"-i", p.key, "-known-hosts", file("empty", "")}, "unknown host key.*" + fingerprint},
		"no known_hosts":        {[]string{"-i", p.key}, "unknown host key.*" + fingerprint},
		"changed key":           {[]string{"-i", p.key, "-known-hosts", changed}, "changed.*" + fingerprint + ".*" + regexp.QuoteMeta(changed+":2")},
		"missing known_hosts":   {[]string{"-i", p.key, "-known-hosts", p.dir + "/none"}, "no such file"},
		"known_hosts directory": {[]string{"-i", p.key, "-known-hosts", p.dir}, "not a regular file"},
		"malformed pin":         {[]string{"-i", p.key, "-fingerprint", "SHA256:x"}, "fingerprint"},
		"missing key":           {[]string{"-i", p.dir + "/none", "-known-hosts", known}, "no such file"},
		"key that is none":      {[]string{"-i", known, "-known-hosts", known}, "key"},
		"no key at all":         {[]string{"-known-hosts", known}, "userauth"},
		"unknown flag":          {[]string{"-x"}, "-x"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, p.run(t, nil, "", append(append([]string{"cat"}, test.args...), s.Target)...), test.want)
			refused(t, p.run(t, nil, "", append(append([]string{"exec"}, test.args...), s.Target, "echo hello")...), test.want)
		})
	}
	login := []string{"-i", p.key, "-known-hosts", known}
	canary := filepath.Join(t.TempDir(), "canary")
	for _, target := range []string{
		"host", "@host", "u@", "u@host:0", "u@host:65536", "u@host:abc", "u@-oProxyCommand=touch " + canary, "u@a;touch " + canary,
		"u@$(touch " + canary + ")", "u@h\nx", "u@`touch " + canary + "`",
	} {
		refused(t, p.run(t, nil, "", append(append([]string{"exec"}, login...), target, "true")...), ".")
	}
	require.NoFileExists(t, canary)
	refused(t, p.run(t, nil, "", "exec"), "target")
	refused(t, p.run(t, nil, "", "exec", s.Target), "command")
	refused(t, p.run(t, nil, "", "cat", s.Target, "extra"), "one target")
	refused(t, p.run(t, nil, "", "cat", "host"), "user@host")

	help := p.run(t, nil, "", "exec", "-h")
	require.Equal(t, 0, help.status)
	require.Contains(t, help.stderr, "-password-env")
}

func TestExamplePasswords(t *testing.T) {
	p := buildExamples(t)
	plain := sshtest.NewServer(t, nil)
	asking := sshtest.NewServer(t, &sshtest.Options{
		Password:  "s3cret",
		Factors:   []string{"keyboard-interactive"},
		Questions: []sshtest.Question{{Prompt: "Password: ", Answer: "s3cret"}},
	})
	for name, s := range map[string]*sshtest.Server{"password": plain, "keyboard-interactive": asking} {
		t.Run(name, func(t *testing.T) {
			args := []string{"exec", "-fingerprint", ssh.FingerprintSHA256(s.HostKey), "-password-env", "SECRET", s.Target, "echo in"}
			require.Equal(t, ran{0, "in\n", ""}, p.run(t, []string{"SECRET=" + s.Password}, "", args...))
			wrong := p.run(t, []string{"SECRET=wrong-one"}, "", args...)
			refused(t, wrong, "userauth")
			require.NotContains(t, wrong.stderr, "wrong-one")
			refused(t, p.run(t, nil, "", args...), "SECRET is not set")
		})
	}
}
