package knownhosts_test

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/sshtest"
)

// TestServerIsKnownAsToSSH has ssh(1) look a real server up by its address, and
// by an alias without port.
func TestServerIsKnownAsToSSH(t *testing.T) {
	server := sshtest.OpenSSH(t, nil)
	_, port, err := net.SplitHostPort(server.Addr)
	require.NoError(t, err)
	named := func(hosts string) string {
		var lines strings.Builder
		for _, k := range server.HostKeys {
			lines.WriteString(hosts + " " + text(k) + "\n")
		}
		return lines.String()
	}
	added := filepath.Join(t.TempDir(), "known_hosts")
	for _, k := range server.HostKeys {
		require.NoError(t, load(t, added).Add(server.Addr, k))
	}
	hashed := write(t, read(t, added))
	out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-H", "-f", hashed).CombinedOutput()
	require.NoError(t, err, string(out))

	for name, test := range map[string]struct {
		file, alias string
		want        knownhosts.Kind
	}{
		"named by the harness":       {write(t, string(server.KnownHosts())), "", 0},
		"added by us":                {added, "", 0},
		"added by us and hashed":     {hashed, "", 0},
		"any port":                   {write(t, named("[127.0.0.1]:*")), "", 0},
		"without port":               {write(t, named("127.0.0.1")), "", 0},
		"another port":               {write(t, named("[127.0.0.1]:1")), "", knownhosts.Unknown},
		"this port excluded":         {write(t, named("[127.0.0.1]:*,![127.0.0.1]:"+port)), "", knownhosts.Unknown},
		"alias":                      {write(t, named("alias")), "alias", 0},
		"alias in capitals":          {write(t, named("alias")), "ALIAS", 0},
		"alias with the port":        {write(t, named("[alias]:"+port)), "alias", knownhosts.Unknown},
		"alias, where only the host": {write(t, named("127.0.0.1")), "alias", knownhosts.Unknown},
		"revoked":                    {write(t, named("127.0.0.1")+named("@revoked *")), "", knownhosts.Revoked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, args := server.Addr, []string{"-F", "none", "-p", port, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
				"-o", "UserKnownHostsFile=" + test.file, "-o", "GlobalKnownHostsFile=none", "-o", "IdentityFile=none"}
			if test.alias != "" {
				addr, args = test.alias+":22", append(args, "-o", "HostKeyAlias="+test.alias)
			}
			for _, k := range server.HostKeys {
				require.Equal(t, test.want, kind(verify(t, load(t, test.file), addr, k)))
			}
			out, err := exec.CommandContext(t.Context(), "ssh", append(args, "127.0.0.1", "true")...).CombinedOutput()
			require.Error(t, err)
			says := "Host key verification failed"
			if test.want == 0 {
				says = "Permission denied" // ssh has no key to log in with
			}
			require.Contains(t, string(out), says)
		})
	}
}
