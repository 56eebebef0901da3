package nacre_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// keyInAgent starts an ssh-agent in a directory of its own, and adds a new key.
func keyInAgent(t *testing.T, addOptions func(dir string) []string) (socket string, key ssh.PublicKey) {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // short, as the name of a socket has to be
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	file := filepath.Join(dir, "key")
	require.NoError(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file).Run())
	data, err := os.ReadFile(file + ".pub")
	require.NoError(t, err)
	key, _, _, _, err = ssh.ParseAuthorizedKey(data)
	require.NoError(t, err)

	socket = filepath.Join(dir, "socket")
	daemon := exec.Command("ssh-agent", "-D", "-a", socket)
	out, err := daemon.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, daemon.Start())
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
	})
	_, err = out.Read(make([]byte, 1)) // ssh-agent listens before printing the address
	require.NoError(t, err)
	add := exec.Command("ssh-add", append(addOptions(dir), "-q", file)...)
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	text, err := add.CombinedOutput()
	require.NoErrorf(t, err, "%s", text)
	return socket, key
}

func anyOptions(string) []string { return nil }

func TestForwardedAgentIsThereForTheCommand(t *testing.T) {
	socket, key := keyInAgent(t, anyOptions)
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{key}})
	_, port, err := net.SplitHostPort(s.Addr)
	require.NoError(t, err)
	connect := identity.AgentSocket(socket)
	config := &nacre.Config{
		HostKey: transport.FixedHostKey(s.HostKeys...),
		Auth:    []userauth.Method{identity.Method(&identity.Config{Agent: connect})},
	}
	const list = "ssh-add -l"
	hop := "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p " + port +
		" " + s.User + "@127.0.0.1 echo arrived"
	client, err := nacre.Dial(t.Context(), s.Target, config)
	require.NoError(t, err)
	defer client.Close()
	for name, command := range map[string]func(line string) *nacre.Cmd{
		"first connection":  func(line string) *nacre.Cmd { return nacre.Command(t.Context(), s.Target, config, line) },
		"second connection": func(line string) *nacre.Cmd { return nacre.Command(t.Context(), s.Target, config, line) },
		"client":            func(line string) *nacre.Cmd { return client.Command(t.Context(), line) },
	} {
		t.Run(name, func(t *testing.T) {
			cmd := command(list)
			cmd.ForwardAgent = connect
			out, err := cmd.Output()
			require.NoError(t, err)
			require.Contains(t, string(out), ssh.FingerprintSHA256(key))

			cmd = command(hop)
			cmd.ForwardAgent = connect
			out, err = cmd.Output()
			require.NoError(t, err)
			require.Equal(t, "arrived\n", string(out))

			// OpenSSH names the agent to all commands of a connection.
			out, err = command("ssh-add -l 2>&1; true").Output()
			require.NoError(t, err)
			require.NotContains(t, string(out), "SHA256", "it is there for others")
		})
	}
}

// A16: a key restricted to a destination does not show up in a forwarded agent.
func TestKeyThatMayNotBeForwardedIsNot(t *testing.T) {
	socket, key := keyInAgent(t, func(dir string) []string {
		known := filepath.Join(dir, "known_hosts")
		host := sshtest.OpenSSH(t, nil) // all daemons have the same keys
		require.NoError(t, os.WriteFile(known, host.KnownHosts(), 0o600))
		_, port, err := net.SplitHostPort(host.Addr)
		require.NoError(t, err)
		return []string{"-H", known, "-h", "[127.0.0.1]:" + port}
	})
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{key}})
	connect := identity.AgentSocket(socket)
	cmd := nacre.Command(t.Context(), s.Target, &nacre.Config{
		HostKey: transport.FixedHostKey(s.HostKeys...),
		Auth:    []userauth.Method{identity.Method(&identity.Config{Agent: connect})},
	}, "ssh-add -l; true")
	cmd.ForwardAgent = connect
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "it is good for the host itself")
	require.Equal(t, "The agent has no identities.\n", string(out))
}

func TestForwardingOfOtherAgents(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	config := &nacre.Config{
		HostKey: transport.FixedHostKey(s.HostKeys...), Auth: []userauth.Method{userauth.PublicKeys(s.Signer)},
	}
	cmd := nacre.Command(t.Context(), s.Target, config, "ssh-add -l; true")
	cmd.ForwardAgent = identity.InProcess(agent.NewKeyring())
	out, err := cmd.Output()
	require.NoError(t, err)
	require.Equal(t, "The agent has no identities.\n", string(out))

	cmd = nacre.Command(t.Context(), s.Target, config, "ssh-add -l || echo failed")
	cmd.ForwardAgent = func(context.Context) (net.Conn, error) { return nil, os.ErrNotExist }
	out, err = cmd.Output()
	require.NoError(t, err)
	require.Equal(t, "failed\n", string(out))

	refusing := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"AllowAgentForwarding no"}})
	config.Auth = []userauth.Method{userauth.PublicKeys(refusing.Signer)}
	cmd = nacre.Command(t.Context(), refusing.Target, config, "echo $SSH_AUTH_SOCK")
	cmd.ForwardAgent = identity.InProcess(agent.NewKeyring())
	out, err = cmd.Output()
	require.NoError(t, err)
	require.Equal(t, "\n", string(out))
}
