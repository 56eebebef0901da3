package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

func TestEachClientRunsACommand(t *testing.T) {
	keys, public := newKeys(t, 1)
	s := sshtest.NewServer(t, &sshtest.Options{AuthorizedKeys: public})
	l := newLogin(s, keys)
	l.Suite = suites[3]
	for _, name := range allClients {
		t.Run(name, func(t *testing.T) {
			c, err := newClient(name, l)
			require.NoError(t, err)
			out := filepath.Join(t.TempDir(), "out")
			stdout, err := os.Create(out)
			require.NoError(t, err)
			defer stdout.Close()
			require.NoError(t, c.run(t.Context(), "echo hello", nil, stdout))
			text, err := os.ReadFile(out)
			require.NoError(t, err)
			require.Equal(t, "hello\n", string(text))

			conn, err := c.dial(t.Context())
			if name == clientOpenSSH {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.NoError(t, conn.Close())
		})
	}
}

func TestClientNeedsItsKeys(t *testing.T) {
	keys, public := newKeys(t, 1)
	for name, l := range map[string]*login{
		"no host key": {Keys: keys},
		"no key file": {Keys: []string{"/none"}, HostKey: string(ssh.MarshalAuthorizedKey(public[0]))},
	} {
		_, err := newClient(clientNacre, l)
		require.Error(t, err, name)
	}
}
