package sshconfig_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// difference is a known difference between Debian's OpenSSH 9.2 and this package.
type difference struct {
	// config finds the configurations that the difference is about. For a difference of a line, config is empty.
	config string
	// theirs is a line of ssh -G, and ours the line of the package; an empty line stands for none.
	theirs, ours string
	reason       string
}

const newer = "OpenSSH 10 differs from 9.2: "

// differences are all known differences. TestOpenSSH fails for a difference that is not in the table, and for an entry of
// the table that no configuration needs.
var differences = []difference{
	{theirs: "identityfile ~/.ssh/id_xmss", reason: newer + "XMSS is gone"},
	{theirs: "identityfile ~/.ssh/id_dsa", reason: newer + "DSA is gone"},
	{ours: "identityfile ~/.ssh/id_mldsa44_ed25519", reason: newer + "a default file for ML-DSA"},
	{ours: "warnweakcrypto yes", reason: newer + "the keyword"},
	{ours: "obscurekeystroketiming yes", reason: newer + "the keyword"},
	{ours: "channeltimeout none", reason: newer + "the keyword"},
	{ours: "revokedhostkeys none", reason: newer + "a list, printed when empty"},
	{theirs: "ipqos lowdelay throughput", ours: "ipqos ef cs0", reason: newer + "other defaults"},
	{theirs: "gssapikeyexchange no", reason: "Debian's patch for GSSAPI"},
	{theirs: "gssapitrustdns no", reason: "Debian's patch for GSSAPI"},
	{theirs: "gssapirenewalforcesrekey no", reason: "Debian's patch for GSSAPI"},
	{theirs: "gssapikexalgorithms gss-group14-sha256-,gss-group16-sha512-,gss-nistp256-sha256-,gss-curve25519-sha256-,gss-group14-sha1-,gss-gex-sha1-",
		reason: "Debian's patch for GSSAPI"},
	{theirs: "forwardx11trusted yes", ours: "forwardx11trusted no", reason: "Debian's default; upstream's is no"},
	{theirs: "serveraliveinterval 300", ours: "serveraliveinterval 0", reason: "Debian's default with BatchMode"},
	{theirs: "gssapikeyexchange yes", reason: "Debian's patch: the package knows the keyword, and ignores the value"},
	{theirs: "loglevel SILENT", ours: "loglevel QUIET", reason: newer + "the level has lost its second name"},
	{theirs: "ipqos throughput throughput", ours: "ipqos 0x08 0x08", reason: newer + "types of service have lost their names"},
	{config: `(?i)(algorithms|keytypes)[ =\t]+\S*!`, reason: newer + "a negated pattern in a list of algorithms is fatal"},
	{config: `(?i)(algorithms|keytypes)[ =\t]+rsa\b`, reason: newer + "a list without an algorithm is fatal"},
	{config: `Ciphers"?[ =\t]+,`, reason: newer + "an empty first name is an error"},
	{config: `(?i)LogLevel[ =]silent`, reason: newer + "the level has lost its second name"},
	{config: `(?i)IPQoS[ =]*(\S* )?0x`, reason: newer + "numbers are decimal"},
	{config: `Match exec '`, reason: newer + "Match understands single quotes"},
	{config: `(?i)User[ =\t]+.*(%|\$\{)`, reason: newer + "User has tokens and variables"},
	{config: `ssh -G \[.*\] "user@"`, reason: "OpenSSH takes a destination without a host for a host without a name"},
	{config: `ssh -G .*SessionType=subsystem`, reason: "ssh wants the subsystem's name on the command line; Load has the name in Loader.Command"},
	{config: `!final`, reason: newer + "a negated final asks for no final pass"},
	{config: `UseKeychain`, reason: "Apple's keyword: the package ignores a keyword that only another system's ssh knows"},
	{config: `CASignatureAlgorithms ssh-ed25519-cert`, reason: newer + "certificates sign no certificates"},
	{config: `RevokedHostKeys /a /b`, reason: newer + "a list"},
	{config: `Timeout 1.5s`, reason: newer + "seconds have fractions"},
	{config: `ForkAfterAuthentication yes`, reason: "ssh has nothing to do in the background without a command; Load has no background"},
	{config: `Include[ =\t]+.*(%|\$\{)`, reason: newer + "Include has tokens and variables"},
	{config: `Match .* = `, reason: newer + "a = in a Match line needs no blanks around"},
	{config: `(SetEnv|SendEnv|CanonicalDomains)[ =\t]+#`, reason: newer + "a list without an element is fatal"},
	{config: `ProxyJump[ =\t]+\S+[ \t\f]+\S`, reason: newer + "a blank within a hop belongs to the hop"},
	{config: `LocalForward 1 socks:1`, reason: "OpenSSH's marker of a DynamicForward is the host socks"},
	{config: `(?is)ForwardAgent[ =\t]+/.*ExitOnForwardFailure|ExitOnForwardFailure.*ForwardAgent[ =\t]+/`, reason: "Load does not look for the agent's socket"},
}

// differenceCases are configurations for the differences that no other configuration shows.
func differenceCases() []oracleCase {
	var list []oracleCase
	for _, text := range []string{"LogLevel QUIET", "LogLevel silent", "IPQoS 8", "IPQoS 0x10", "PubkeyAcceptedAlgorithms !ssh-rsa",
		"PubkeyAcceptedAlgorithms rsa", "Ciphers ,aes128-ctr", "Match exec 'test %n = host'", "User %u", "UseKeychain yes", "Match canonical\nPort 7\nMatch !final",
		"GSSAPIKeyExchange yes", "BatchMode yes", "CASignatureAlgorithms ssh-ed25519-cert-v01@openssh.com",
		"RevokedHostKeys /a /b", "ConnectTimeout 1.5s", "ForkAfterAuthentication yes", "Match host = host", "SetEnv # c", "Include %z", "ProxyJump a b", "DynamicForward 1080:/path", "RemoteForward 1080:/path", "LocalForward 1 socks:1",
		"ForwardAgent /nonexistent\nExitOnForwardFailure yes"} {
		list = append(list, one("difference", text+"\n", "host"))
	}
	return append(list, one("difference", "", "user@"), one("difference", "", "host", "SessionType=subsystem"))
}

// every makes TestOpenSSH run all configurations instead of a fixed choice of 1,010.
var every = flag.Bool("every", false, "compare all configurations with ssh -G")

// oracleCase is a configuration for both programs.
type oracleCase struct {
	name    string
	files   map[string]string // the file "config" is the first; DIR in a file stands for the directory
	options []string
	host    string
}

// environment are the variables that both programs see.
var environment = map[string]string{
	"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "SHELL": "/bin/sh", "SSHCONFIG_PATH": "/run/x", "SSHCONFIG_WORD": "word",
	"SSHCONFIG_EMPTY": "",
}

func getenv(name string) (string, bool) {
	value, ok := environment[name]
	return value, ok
}

// installed are the algorithms of the ssh on this machine.
var installed = sync.OnceValues(func() (defaults, supported sshconfig.Algorithms) {
	query := func(what string) []string {
		out, err := exec.Command("ssh", "-Q", what).Output()
		if err != nil {
			panic(err)
		}
		return strings.Fields(string(out))
	}
	supported = sshconfig.Algorithms{Ciphers: query("cipher"), MACs: query("mac"), KexAlgorithms: query("kex"),
		PublicKey: query("key-sig"), CASignature: query("sig")}
	out, err := exec.Command("ssh", "-G", "-F", "none", "host").Output()
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(out)) {
		keyword, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		list := strings.Split(value, ",")
		switch keyword {
		case "ciphers":
			defaults.Ciphers = list
		case "macs":
			defaults.MACs = list
		case "kexalgorithms":
			defaults.KexAlgorithms = list
		case "pubkeyacceptedalgorithms":
			defaults.PublicKey = list
		case "casignaturealgorithms":
			defaults.CASignature = list
		}
	}
	return defaults, supported
})

// theirs returns what ssh -G prints. ok is false when ssh refuses the configuration.
func (c oracleCase) theirs(t testing.TB, dir string) (out string, ok bool, diagnostics string) {
	args := []string{"-G", "-F", filepath.Join(dir, "config")}
	for _, o := range c.options {
		args = append(args, "-o", o)
	}
	cmd := exec.Command("ssh", append(args, c.host)...)
	for name, value := range environment {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil {
		require.ErrorAs(t, err, &exit)
	}
	return stdout.String(), err == nil, stderr.String()
}

func (c oracleCase) ours(t testing.TB, dir string) (out string, err error) {
	defaults, supported := installed()
	l := &sshconfig.Loader{
		Files: []sshconfig.File{{Name: filepath.Join(dir, "config")}}, Options: c.options, Getenv: getenv,
		Exec: sshconfig.Shell, Defaults: defaults, Supported: supported, Version: "OpenSSH_9.2p1",
	}
	config, err := l.Load(t.Context(), c.host)
	if err != nil {
		return "", err
	}
	return config.String(), nil
}

func (c oracleCase) text() string {
	names := make([]string, 0, len(c.files))
	for name := range c.files {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "ssh -G %q %q\n", c.options, c.host)
	for _, name := range names {
		fmt.Fprintf(&b, "--- %s\n%s\n", name, c.files[name])
	}
	return b.String()
}

// oracle compares the two programs, and keeps count of the differences.
type oracle struct {
	sync.Mutex
	used     map[int]int
	accepted int
	refused  int
}

func (o *oracle) run(t *testing.T, c oracleCase, dir string) {
	for name, content := range c.files {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(content, "DIR", dir)), 0o644))
	}
	theirs, ok, diagnostics := c.theirs(t, dir)
	ours, err := c.ours(t, dir)
	o.Lock()
	defer o.Unlock()
	if ok {
		o.accepted++
	} else {
		o.refused++
	}
	text := c.text()
	same := ok == (err == nil)
	var left, right []string
	if same && ok {
		left, right = o.distinct(lines(theirs), lines(ours))
		same = len(left) == 0 && len(right) == 0
	}
	if same {
		return
	}
	for i, d := range differences {
		if d.config != "" && regexp.MustCompile(d.config).MatchString(text) {
			o.used[i]++
			return
		}
	}
	assert.Failf(t, "difference", "%s\nssh: %v %s\nours: %v\n- %s\n+ %s", text, ok, diagnostics, err,
		strings.Join(left, "\n- "), strings.Join(right, "\n+ "))
}

// distinct returns the lines on one side only, without the known differences.
func (o *oracle) distinct(theirs, ours []string) (left, right []string) {
	left, right = minus(theirs, ours), minus(ours, theirs)
	for i, d := range differences {
		if d.config != "" {
			continue
		}
		l, r := slices.Index(left, d.theirs), slices.Index(right, d.ours)
		if (d.theirs == "") != (l < 0) || (d.ours == "") != (r < 0) {
			continue
		}
		o.used[i]++
		if l >= 0 {
			left = slices.Delete(left, l, l+1)
		}
		if r >= 0 {
			right = slices.Delete(right, r, r+1)
		}
	}
	return left, right
}

func lines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

// minus returns the lines of a that b lacks, counted.
func minus(a, b []string) []string {
	count := make(map[string]int)
	for _, line := range b {
		count[line]++
	}
	var rest []string
	for _, line := range a {
		if count[line]--; count[line] < 0 {
			rest = append(rest, line)
		}
	}
	return rest
}

// TestOpenSSH compares the package with ssh -G.
func TestOpenSSH(t *testing.T) {
	cases := slices.Concat(differenceCases(), matchCases(), syntaxCases(), firstSamples())
	rest := slices.Concat(keywordCases(), randomCases(700), tokenCases(1000))
	r := rand.New(rand.NewPCG(1, 1))
	r.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	if !*every {
		rest = rest[:max(0, 1010-len(cases))]
	}
	cases = append(cases, rest...)
	require.GreaterOrEqual(t, len(cases), 1000)
	o := &oracle{used: make(map[int]int)}
	t.Run("cases", func(t *testing.T) {
		const workers = 8
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				for i := w; i < len(cases); i += workers {
					o.run(t, cases[i], filepath.Join(dir, fmt.Sprint(i)))
				}
			})
		}
	})
	t.Logf("%d configurations: %d accepted, %d refused", len(cases), o.accepted, o.refused)
	require.Greater(t, o.accepted, len(cases)/3)
	require.Greater(t, o.refused, len(cases)/8)
	for i, d := range differences {
		assert.NotZerof(t, o.used[i], "no configuration shows the difference %+v", d)
	}
}

// pick returns a random element.
func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }
