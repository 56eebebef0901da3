package hostkeys_test

import (
	"context"
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

	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/sshtest"
)

// rotations are files before a login. ADDR stands for the server, KEY for its
// first key, ALL for all of its lines, OTHER and STALE for keys of nobody.
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

// sshdForSSH starts an sshd, and returns its port and the file of a key by which
// ssh gets in.
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

// field returns the fields of a known_hosts line for a key.
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
				Sources: []knownhosts.Source{loaded(t, ours)}, StrictHostKeyChecking: knownhosts.StrictAcceptNew, UpdateHostKeys: knownhosts.UpdateYes,
			})
			dial(t, s, w)
			updateErr := <-w.updated

			if strings.HasSuffix(test, "hashed") {
				require.NoError(t, updateErr)
				require.Len(t, sorted(t, ours), len(sorted(t, theirs)))
				require.NotContains(t, strings.Join(sorted(t, ours), ""), "127.0.0.1")
			} else if test == "CRLF" { // ssh adds bare line feeds to the file, too
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
			Sources: []knownhosts.Source{loaded(t, file)}, UpdateHostKeys: knownhosts.UpdateAsk,
			Prompt: func(_ context.Context, q *knownhosts.Question) (string, error) {
				question = q.Text
				return answer, nil
			},
			Trace: func(c knownhosts.Change) { changes = append(changes, c) },
		})
		conn := dial(t, s, w)
		err := <-w.updated
		require.NoError(t, conn.Close())
		require.Equal(t, answer == "yes", err == nil, "%v", err)
		require.Contains(t, question, "New: ssh-rsa SHA256:")
		require.Len(t, sorted(t, file), keys)
		require.Len(t, changes, max(1, keys-1))
	}
}

// Many clients rotate and learn keys at once, each with a policy of its own, like
// processes that share only the file.
func TestManyClientsRotateAndLearnAtOnce(t *testing.T) {
	s, other := sshtest.OpenSSH(t, nil), sshtest.NewServer(t, nil)
	file := filepath.Join(t.TempDir(), "known_hosts")
	require.NoError(t, loaded(t, file).Add(s.Addr, s.HostKey))
	const clients = 8
	errs := make(chan error, 2*clients)
	for i := range clients {
		w := watchPolicy(&knownhosts.Policy{Sources: []knownhosts.Source{loaded(t, file)}, UpdateHostKeys: knownhosts.UpdateYes})
		learn := &knownhosts.Policy{
			Sources: []knownhosts.Source{loaded(t, file)}, StrictHostKeyChecking: knownhosts.StrictAcceptNew, HostKeyAlias: fmt.Sprintf("alias%d", i),
		}
		go func() {
			conn, err := login(t.Context(), s, w)
			if err == nil {
				err = errors.Join(<-w.updated, conn.Close())
			}
			errs <- err
		}()
		go func() { errs <- visit(t.Context(), other, learn) }()
	}
	for range 2 * clients {
		require.NoError(t, <-errs)
	}
	lines := sorted(t, file)
	require.Len(t, slices.Compact(slices.Clone(lines)), len(lines))
	require.Len(t, lines, len(s.HostKeys)+clients)
}
