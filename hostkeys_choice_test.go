package nacre_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth"
)

// choices are files that make a client of a server with keys of all types ask for one of them. ED, EC and RSA are its
// keys, OTHER-ED and so on are not.
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
		for strict, checking := range map[string]knownhosts.Checking{"yes": knownhosts.Strict, "accept-new": knownhosts.AcceptNew} {
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

				c := config(s)
				c.HostKey = &knownhosts.Policy{Sources: []knownhosts.Source{loaded(t, ours)}, Checking: checking}
				err := nacre.Command(t.Context(), s.Target, c, "true").Run()
				require.Equal(t, refused == nil, err == nil, "%v\n%s", err, out)
				require.Equal(t, sorted(t, theirs), sorted(t, ours))
			})
		}
	}
}

// TestAServerThatNeverProvesItsKeysHoldsUpNothing, nor does one that goes instead, and nothing of it is left. It
// announces its keys without end.
func TestAServerThatNeverProvesItsKeysHoldsUpNothing(t *testing.T) {
	host, fresh := sshtest.NewSigner(t, ssh.KeyAlgoED25519), sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	for name, leaves := range map[string]bool{"silent": false, "gone": true} {
		t.Run(name, func(t *testing.T) {
			asked, over := make(chan struct{}), make(chan struct{})
			defer close(over)
			var server net.Conn
			a := &announcer{
				hostKey: host, announced: [][]byte{host.PublicKey().Marshal(), fresh.PublicKey().Marshal()}, times: 1000,
				prove: func([]byte, [][]byte) ([][]byte, bool) {
					close(asked)
					if leaves {
						server.Close()
					}
					<-over
					return nil, false
				},
			}
			file := filepath.Join(t.TempDir(), "known_hosts")
			require.NoError(t, loaded(t, file).Add("host:22", host.PublicKey()))
			w := watchPolicy(&knownhosts.Policy{Sources: []knownhosts.Source{loaded(t, file)}, Update: knownhosts.UpdateOn})
			dial := func(context.Context, string, string) (client net.Conn, _ error) {
				client, server = sshtest.Pipe()
				go a.serve(server)
				return client, nil
			}
			client, err := nacre.Dial(t.Context(), "user@host", &nacre.Config{Dial: dial, HostKey: w, Auth: []userauth.Method{userauth.None()}})
			require.NoError(t, err)
			<-asked
			if !leaves {
				require.NoError(t, client.Close())
			}
			require.ErrorContains(t, <-w.updated, "has not proven")
			_ = client.Close()
			require.Empty(t, w.updated)
			require.Len(t, sorted(t, file), 1)
		})
	}
}
