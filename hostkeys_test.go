package nacre_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// watchedPolicy is a Policy that tells when it is done with an announcement.
type watchedPolicy struct {
	*knownhosts.Policy
	updated chan error
}

func watchPolicy(p *knownhosts.Policy) *watchedPolicy { return &watchedPolicy{p, make(chan error, 10)} }

func (w *watchedPolicy) UpdateHostKeys(
	ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey, announced []ssh.PublicKey,
	prove func(ctx context.Context, keys []ssh.PublicKey) error,
) error {
	err := w.Policy.UpdateHostKeys(ctx, addr, remote, key, announced, prove)
	w.updated <- err
	return err
}

func loaded(t *testing.T, file string) *knownhosts.DB {
	t.Helper()
	d, err := knownhosts.Load(file)
	require.NoError(t, err)
	return d
}

// sorted is the content of a file, line by line, without order.
func sorted(t *testing.T, file string) []string {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return slices.Sorted(strings.Lines(string(content)))
}

func TestKeysAreLearnedAfterAuthenticationOnly(t *testing.T) {
	for name, s := range map[string]*sshtest.Server{
		"embedded": sshtest.NewServer(t, nil), "openssh": sshtest.OpenSSH(t, nil), "dropbear": sshtest.Dropbear(t, nil),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "known_hosts")
			c := config(s)
			c.HostKey = &knownhosts.Policy{Sources: []knownhosts.Source{loaded(t, file)}, Checking: knownhosts.AcceptNew}
			c.Auth = []userauth.Method{userauth.PublicKeys(sshtest.NewSigner(t, ssh.KeyAlgoED25519))}
			_, err := nacre.Dial(t.Context(), s.Target, c)
			phase(t, "authenticate", err)
			require.NoFileExists(t, file)

			c.Auth = []userauth.Method{userauth.PublicKeys(s.Signer)}
			for range 2 {
				out, err := nacre.Command(t.Context(), s.Target, c, "echo in").Output()
				require.NoError(t, err)
				require.Equal(t, "in\n", string(out))
			}
			require.Len(t, sorted(t, file), 1)
			c.HostKey = loaded(t, file)
			client, err := nacre.Dial(t.Context(), s.Target, c)
			require.NoError(t, err)
			require.NoError(t, client.Close())
		})
	}
}

// TestAHostWhoseKeyWasReplacedIsRefused while others are connected.
func TestAHostWhoseKeyWasReplacedIsRefused(t *testing.T) {
	first := sshtest.NewServer(t, nil)
	file := filepath.Join(t.TempDir(), "known_hosts")
	c := config(first)
	c.HostKey = &knownhosts.Policy{
		Sources: []knownhosts.Source{loaded(t, file)}, Checking: knownhosts.AcceptNew, Alias: "host",
	}
	client, err := nacre.Dial(t.Context(), first.Target, c)
	require.NoError(t, err)
	defer client.Close()

	second := sshtest.NewServer(t, nil)
	c.Auth = []userauth.Method{userauth.PublicKeys(second.Signer)}
	_, err = nacre.Dial(t.Context(), second.Target, c)
	phase(t, "handshake", err)
	var refusal *knownhosts.KeyError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, knownhosts.Changed, refusal.Kind)
	for _, part := range []string{
		second.Addr, ssh.FingerprintSHA256(second.HostKey), file + ":1: ssh-ed25519 " + ssh.FingerprintSHA256(first.HostKey),
		"ssh-keygen -R 'host' -f '" + file + "'",
	} {
		require.ErrorContains(t, err, part)
	}
	require.NoError(t, client.Command(t.Context(), "true").Run())
}

// refusedLater is a verifier that thinks better of it.
type refusedLater struct{ knownhosts.InsecureAcceptAny }

var errThoughtBetter = errors.New("thought better of it")

func (refusedLater) LearnHostKey(context.Context, string, net.Addr, ssh.PublicKey) error {
	return errThoughtBetter
}

func TestAKeyThatMustNotBeLearnedEndsTheConnection(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	c := config(s)
	c.HostKey = refusedLater{}
	_, err := nacre.Dial(t.Context(), s.Target, c)
	phase(t, "handshake", err)
	require.ErrorIs(t, err, errThoughtBetter)
	require.ErrorAs(t, err, new(*transport.HostKeyError))
	require.ErrorIs(t, nacre.Command(t.Context(), s.Target, c, "true").Run(), errThoughtBetter)
}

// rotations are files before a login, in which ADDR is the server, KEY its first key, ALL all of its lines, OTHER and
// STALE keys that it does not have.
var rotations = map[string]string{
	"one key":                "ADDR KEY\n",
	"one key, hashed":        "HASHED KEY\n",
	"all keys":               "ALL",
	"a stale key":            "# mine\n\nADDR STALE comment\nADDR KEY comment\ngarbage\nother OTHER\n",
	"only stale":             "ALLADDR STALE\n",
	"another name too":       "ADDR,name KEY\n",
	"many names":             "ADDR,name,more KEY\n",
	"a pattern":              "ADDR KEY\n[127.*]:* STALE\n",
	"the key elsewhere":      "ADDR KEY\nother KEY\n",
	"a stale key elsewhere":  "ADDR KEY\nADDR STALE\nother STALE\n",
	"an authority":           "ADDR KEY\n@cert-authority ADDR OTHER\n",
	"authority of others":    "ADDR KEY\n@cert-authority other OTHER\n",
	"a revocation":           "ADDR KEY\n@revoked ADDR OTHER\n",
	"only without the port":  "127.0.0.1 KEY\n",
	"nothing, so accept-new": "other OTHER\n",
	"no final newline":       "ADDR STALE\nADDR KEY",
	"CRLF":                   "ADDR STALE\r\nADDR KEY\r\nother OTHER\r\n",
}

// sshdForSSH starts an sshd that lets ssh in by a key of its own, and returns its
// port and the key's file.
func sshdForSSH(t *testing.T) (s *sshtest.Server, port, identity string) {
	identity = filepath.Join(t.TempDir(), "id")
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", identity).CombinedOutput()
	require.NoError(t, err, string(out))
	content, err := os.ReadFile(identity + ".pub")
	require.NoError(t, err)
	public, _, _, _, err := ssh.ParseAuthorizedKey(content)
	require.NoError(t, err)
	s = sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{public}})
	_, port, err = net.SplitHostPort(s.Addr)
	require.NoError(t, err)
	return s, port, identity
}

// field is a key as a known_hosts line has it.
func field(k ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) }

func TestKeysAreRotatedAsBySSH(t *testing.T) {
	s, port, identity := sshdForSSH(t)
	name := xknownhosts.Normalize(s.Addr)
	fill := strings.NewReplacer("ALL", string(s.KnownHosts()), "ADDR", name, "KEY", field(s.HostKey),
		"HASHED", xknownhosts.HashHostname(name), "OTHER", field(sshtest.NewSigner(t, ssh.KeyAlgoED25519).PublicKey()),
		"STALE", field(sshtest.NewSigner(t, ssh.KeyAlgoED25519).PublicKey()))

	for test, text := range rotations {
		t.Run(test, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
			for _, file := range []string{ours, theirs} {
				require.NoError(t, os.WriteFile(file, []byte(fill.Replace(text)), 0o640))
			}
			options := []string{"-F", "none", "-p", port, "-i", identity}
			for _, o := range []string{
				"BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=accept-new", "UpdateHostKeys=yes",
				"UserKnownHostsFile=" + theirs, "GlobalKnownHostsFile=none",
			} {
				options = append(options, "-o", o)
			}
			out, err := exec.Command("ssh", append(options, s.User+"@127.0.0.1", "sleep 0.5")...).CombinedOutput()
			require.NoError(t, err, string(out))

			w := watchPolicy(&knownhosts.Policy{
				Sources: []knownhosts.Source{loaded(t, ours)}, Checking: knownhosts.AcceptNew, Update: knownhosts.UpdateOn,
			})
			c := config(s)
			c.HostKey = w
			client, err := nacre.Dial(t.Context(), s.Target, c)
			require.NoError(t, err)
			defer client.Close()
			updateErr := <-w.updated

			if strings.HasSuffix(test, "hashed") {
				require.NoError(t, updateErr)
				require.Len(t, sorted(t, ours), len(sorted(t, theirs)))
				require.NotContains(t, strings.Join(sorted(t, ours), ""), "127.0.0.1")
			} else if test == "CRLF" { // ssh writes bare line feeds into such a file, too
				require.Len(t, sorted(t, ours), len(sorted(t, theirs)))
			} else {
				require.Equal(t, sorted(t, theirs), sorted(t, ours), "%v", updateErr)
			}
			info, err := os.Stat(ours)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o640), info.Mode())
			require.NoError(t, w.Policy.VerifyHostKey(t.Context(), s.Addr, nil, s.HostKey), "what is in memory is in the file")
		})
	}
}

func TestRotationIsAskedFor(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	for answer, keys := range map[string]int{"yes": len(s.HostKeys), "no": 1} {
		file := filepath.Join(t.TempDir(), "known_hosts")
		require.NoError(t, loaded(t, file).Add(s.Addr, s.HostKey))
		var question string
		var changes []knownhosts.Change
		w := watchPolicy(&knownhosts.Policy{
			Sources: []knownhosts.Source{loaded(t, file)}, Update: knownhosts.UpdateAsk,
			Prompt: func(_ context.Context, q *knownhosts.Question) (string, error) {
				question = q.Text
				return answer, nil
			},
			Trace: func(c knownhosts.Change) { changes = append(changes, c) },
		})
		c := config(s)
		c.HostKey = w
		client, err := nacre.Dial(t.Context(), s.Target, c)
		require.NoError(t, err)
		err = <-w.updated
		require.NoError(t, client.Close())
		require.Equal(t, answer == "yes", err == nil, "%v", err)
		require.Contains(t, question, "New: ssh-rsa SHA256:")
		require.Len(t, sorted(t, file), keys)
		require.Len(t, changes, max(1, keys-1))
	}
}

// announcer is a server that announces keys, and answers in its own way when they are to be proven.
type announcer struct {
	hostKey   ssh.Signer
	announced [][]byte
	times     int
	prove     func(session []byte, keys [][]byte) (signatures [][]byte, ok bool)
}

func (a *announcer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := sshtest.Pipe()
	go a.serve(server)
	return client, nil
}

func list(items [][]byte) []byte {
	var b []byte
	for _, item := range items {
		b = append(b, ssh.Marshal(struct{ Item []byte }{item})...)
	}
	return b
}

func items(payload []byte) (all [][]byte) {
	for len(payload) > 0 {
		var m struct {
			Item []byte
			Rest []byte `ssh:"rest"`
		}
		if ssh.Unmarshal(payload, &m) != nil {
			return nil
		}
		all, payload = append(all, m.Item), m.Rest
	}
	return all
}

func (a *announcer) serve(c net.Conn) {
	defer c.Close()
	sc := &ssh.ServerConfig{NoClientAuth: true}
	sc.AddHostKey(a.hostKey)
	conn, channels, requests, err := ssh.NewServerConn(c, sc)
	if err != nil {
		return
	}
	go func() {
		for ch := range channels {
			_ = ch.Reject(ssh.Prohibited, "")
		}
	}()
	for range max(1, a.times) {
		_, _, _ = conn.SendRequest("hostkeys-00@openssh.com", false, list(a.announced))
	}
	for r := range requests {
		if r.Type != "hostkeys-prove-00@openssh.com" {
			_ = r.Reply(false, nil)
			continue
		}
		signatures, ok := a.prove(conn.SessionID(), items(r.Payload))
		_ = r.Reply(ok, list(signatures))
	}
}

// sign proves that one has a key.
func sign(signer ssh.Signer, algorithm, name string, session []byte) []byte {
	data := ssh.Marshal(struct {
		Name         string
		Session, Key []byte
	}{name, session, signer.PublicKey().Marshal()})
	s, err := signer.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, data, algorithm)
	if err != nil {
		panic(err)
	}
	return ssh.Marshal(s)
}

const proveName = "hostkeys-prove-00@openssh.com"

// K27
func TestRotationWithoutProofChangesNothing(t *testing.T) {
	host, fresh, rsa := sshtest.NewSigner(t, ssh.KeyAlgoED25519), sshtest.NewSigner(t, ssh.KeyAlgoED25519), sshtest.NewSigner(t, ssh.KeyAlgoRSA)
	blob := func(s ssh.Signer) []byte { return s.PublicKey().Marshal() }
	cert := &ssh.Certificate{Key: fresh.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"host"}, ValidBefore: ssh.CertTimeInfinity}
	require.NoError(t, cert.SignCert(rand.Reader, host))
	both := [][]byte{blob(host), blob(fresh)}
	one := func(signer ssh.Signer, algorithm, name string) func([]byte, [][]byte) ([][]byte, bool) {
		return func(session []byte, _ [][]byte) ([][]byte, bool) {
			return [][]byte{sign(signer, algorithm, name, session)}, true
		}
	}
	good := one(fresh, ssh.KeyAlgoED25519, proveName)
	never := func([]byte, [][]byte) ([][]byte, bool) { panic("asked for a proof") }
	flood := make([][]byte, 5000)
	for i := range flood {
		flood[i] = fmt.Appendf(nil, "%d", i)
	}
	manyKeys := [][]byte{blob(host)}
	for range 100 {
		manyKeys = append(manyKeys, blob(sshtest.NewSigner(t, ssh.KeyAlgoED25519)))
	}
	for name, test := range map[string]struct {
		announced [][]byte
		prove     func([]byte, [][]byte) ([][]byte, bool)
		added     int // lines
		want      string
		silent    bool // the verifier is not even told
	}{
		"proven":                  {both, good, 1, "", false},
		"refused":                 {both, func([]byte, [][]byte) ([][]byte, bool) { return nil, false }, 0, "has not proven", false},
		"another key signs":       {both, one(host, ssh.KeyAlgoED25519, proveName), 0, "signature of ssh-ed25519 SHA256:", false},
		"another text is signed":  {both, one(fresh, ssh.KeyAlgoED25519, "hostkeys-00@openssh.com"), 0, "signature of ssh-ed25519 SHA256:", false},
		"another session":         {both, func([]byte, [][]byte) ([][]byte, bool) { return good([]byte("x"), nil) }, 0, "signature of ssh-ed25519 SHA256:", false},
		"no signature":            {both, func([]byte, [][]byte) ([][]byte, bool) { return nil, true }, 0, "a signature is missing", false},
		"too many signatures":     {both, func(s []byte, _ [][]byte) ([][]byte, bool) { a, _ := good(s, nil); return append(a, a...), true }, 0, "more signatures than keys", false},
		"garbage for a signature": {both, func([]byte, [][]byte) ([][]byte, bool) { return [][]byte{[]byte("x")}, true }, 0, "signature of ssh-ed25519 SHA256:", false},
		"RSA with SHA-256":        {[][]byte{blob(host), blob(rsa)}, one(rsa, ssh.KeyAlgoRSASHA256, proveName), 1, "", false},
		"RSA with SHA-1":          {[][]byte{blob(host), blob(rsa)}, one(rsa, ssh.KeyAlgoRSA, proveName), 0, `made with "ssh-rsa" instead of rsa-sha2-512`, false},
		"twice the same key":      {append(both, both...), never, 0, "announced ssh-ed25519 SHA256:", false},
		"a certificate":           {[][]byte{blob(host), cert.Marshal()}, never, 0, "", false},
		"an unknown type":         {[][]byte{blob(host), ssh.Marshal(struct{ T string }{"ssh-new"})}, never, 0, "", false},
		"no key at all":           {nil, never, 0, "", false},
		"many keys":               {manyKeys, never, 0, "more than 64 keys", false},
		"a flood":                 {flood, never, 0, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "known_hosts")
			require.NoError(t, loaded(t, file).Add("host:22", host.PublicKey()))
			before := sorted(t, file)
			w := watchPolicy(&knownhosts.Policy{Sources: []knownhosts.Source{loaded(t, file)}, Update: knownhosts.UpdateOn})
			a := &announcer{hostKey: host, announced: test.announced, times: 2, prove: test.prove}
			client, err := nacre.Dial(t.Context(), "user@host", &nacre.Config{Dial: a.dial, HostKey: w, Auth: []userauth.Method{userauth.None()}})
			require.NoError(t, err)
			if !test.silent {
				err = <-w.updated
				if test.want == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, test.want)
				}
			}
			_, _ = client.Conn().Request(t.Context(), "x", nil) // by now a second announcement has arrived
			require.NoError(t, client.Close())
			require.Empty(t, w.updated, "only the first announcement counts")
			after := sorted(t, file)
			require.Len(t, after, len(before)+test.added)
			require.Subset(t, after, before)
		})
	}
}

// TestRotationIsNoHindrance: a command ends while the server has not yet answered.
func TestRotationIsNoHindrance(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	file := filepath.Join(t.TempDir(), "known_hosts")
	require.NoError(t, loaded(t, file).Add(s.Addr, s.HostKey))
	c := config(s)
	c.HostKey = &knownhosts.Policy{
		Sources: []knownhosts.Source{loaded(t, file)}, Update: knownhosts.UpdateAsk,
		Prompt: func(ctx context.Context, _ *knownhosts.Question) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		},
	}
	for range 3 {
		out, err := nacre.Command(t.Context(), s.Target, c, "echo done").Output()
		require.NoError(t, err)
		require.Equal(t, "done\n", string(out))
	}
	require.Len(t, sorted(t, file), 1)
}

// TestHostCertificatesOfSSHKeygen has sshd show one, and a list revoke it by its serial number.
func TestHostCertificatesOfSSHKeygen(t *testing.T) {
	ca := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{HostCA: ca})
	trust := knownhosts.Parse("hosts", append([]byte("@cert-authority * "), ssh.MarshalAuthorizedKey(ca.PublicKey())...))
	c := config(s)
	c.HostKey = &knownhosts.Policy{Sources: []knownhosts.Source{trust.Authorities()}, Update: knownhosts.UpdateOn}
	client, err := nacre.Dial(t.Context(), s.Target, c)
	require.NoError(t, err)
	require.IsType(t, new(ssh.Certificate), client.Transport().State().HostKey)
	require.NoError(t, client.Close())

	dir := t.TempDir()
	spec, list := filepath.Join(dir, "spec"), filepath.Join(dir, "krl")
	require.NoError(t, os.WriteFile(spec, bytes.Join([][]byte{[]byte("key: "), ssh.MarshalAuthorizedKey(ca.PublicKey())}, nil), 0o600))
	out, err := exec.Command("ssh-keygen", "-k", "-f", list, spec).CombinedOutput()
	require.NoError(t, err, string(out))
	revoked, err := knownhosts.LoadRevocations(list)
	require.NoError(t, err)
	c.HostKey = &knownhosts.Policy{Sources: []knownhosts.Source{trust, revoked}}
	_, err = nacre.Dial(t.Context(), s.Target, c)
	phase(t, "handshake", err)
	require.ErrorContains(t, err, "host key is revoked")
	require.ErrorContains(t, err, list)
}

// TestManyClientsRotateAndLearnAtOnce, each as a process of its own would.
func TestManyClientsRotateAndLearnAtOnce(t *testing.T) {
	s, other := sshtest.OpenSSH(t, nil), sshtest.NewServer(t, nil)
	file := filepath.Join(t.TempDir(), "known_hosts")
	require.NoError(t, loaded(t, file).Add(s.Addr, s.HostKey))
	const clients = 8
	errs := make(chan error, 2*clients)
	for i := range clients {
		w := watchPolicy(&knownhosts.Policy{Sources: []knownhosts.Source{loaded(t, file)}, Update: knownhosts.UpdateOn})
		learn := &knownhosts.Policy{
			Sources: []knownhosts.Source{loaded(t, file)}, Checking: knownhosts.AcceptNew, Alias: fmt.Sprintf("alias%d", i),
		}
		go func() {
			c := config(s)
			c.HostKey = w
			client, err := nacre.Dial(t.Context(), s.Target, c)
			if err == nil {
				err = errors.Join(<-w.updated, client.Close())
			}
			errs <- err
		}()
		go func() {
			c := config(other)
			c.HostKey = learn
			errs <- nacre.Command(t.Context(), other.Target, c, "true").Run()
		}()
	}
	for range 2 * clients {
		require.NoError(t, <-errs)
	}
	lines := sorted(t, file)
	require.Len(t, slices.Compact(slices.Clone(lines)), len(lines))
	require.Len(t, lines, len(s.HostKeys)+clients)
}
