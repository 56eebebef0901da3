package hostkeys_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/sshtest"
)

// choices are known_hosts files. The files decide for which key a client asks a
// server with keys of all types. ED, EC and RSA are keys of the server; OTHER-ED
// and so on are not.
var choices = map[string]string{
	"nothing":                          "other ED",
	"RSA":                              "ADDR RSA",
	"RSA, hashed":                      "HASHED RSA",
	"ECDSA by a pattern":               "[127.*]:* EC",
	"two types":                        "ADDR RSA\nADDR EC",
	"a better type is stale":           "ADDR OTHER-ED\nADDR RSA",
	"a worse type is stale":            "ADDR OTHER-RSA\nADDR EC",
	"a better type is revoked":         "@revoked ADDR ED\nADDR RSA",
	"an authority that signed nothing": "@cert-authority * OTHER-ED\nADDR RSA",
	"another port":                     "[127.0.0.1]:1 RSA",
	"the best type without port":       "127.0.0.1 ED",
	"a worse type without port":        "127.0.0.1 RSA",
	"other types with and without":     "127.0.0.1 RSA\nADDR EC",
	"stale with, right without":        "ADDR OTHER-RSA\n127.0.0.1 ED",
	"stale without":                    "127.0.0.1 OTHER-RSA",
	"excluded":                         "*,!ADDR RSA",
	"excluded without port":            "*,!127.0.0.1 RSA",
}

func TestHostKeysAreChosenAsBySSH(t *testing.T) {
	s, port, identity := sshdForSSH(t)
	name := xknownhosts.Normalize(s.Addr)
	words := []string{"ADDR", name, "HASHED", xknownhosts.HashHostname(name)}
	for short, algorithm := range map[string]string{"RSA": ssh.KeyAlgoRSA, "EC": ssh.KeyAlgoECDSA256, "ED": ssh.KeyAlgoED25519} {
		words = append(words, "OTHER-"+short, field(sshtest.NewSigner(t, algorithm).PublicKey()))
		for _, k := range s.HostKeys {
			if k.Type() == algorithm {
				words = append(words, " "+short, " "+field(k))
			}
		}
	}
	fill := strings.NewReplacer(words...)

	for test, text := range choices {
		for strict, checking := range map[string]knownhosts.StrictHostKeyChecking{"yes": knownhosts.StrictYes, "accept-new": knownhosts.StrictAcceptNew} {
			t.Run(test+"/"+strict, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
				for _, file := range []string{ours, theirs} {
					require.NoError(t, os.WriteFile(file, []byte(fill.Replace(text)+"\n"), 0o600))
				}
				options := []string{"-F", "none", "-p", port, "-i", identity}
				for _, o := range []string{
					"BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=" + strict, "UpdateHostKeys=no",
					"UserKnownHostsFile=" + theirs, "GlobalKnownHostsFile=none",
				} {
					options = append(options, "-o", o)
				}
				out, refused := exec.Command("ssh", append(options, s.User+"@127.0.0.1", "true")...).CombinedOutput()

				err := visit(t.Context(), s, &knownhosts.Policy{Sources: []knownhosts.Source{loaded(t, ours)}, StrictHostKeyChecking: checking})
				require.Equal(t, refused == nil, err == nil, "%v\n%s", err, out)
				require.Equal(t, sorted(t, theirs), sorted(t, ours))
			})
		}
	}
}
