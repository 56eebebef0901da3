package identity_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// sshAgent is a real ssh-agent.
type sshAgent struct {
	t      testing.TB
	dir    string
	socket string
}

// startAgent starts an ssh-agent that ends with the test. Whoever is to confirm
// something says no.
func startAgent(t testing.TB) *sshAgent {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // names of sockets are short
	require.NoError(t, err)
	a := &sshAgent{t, dir, filepath.Join(dir, "socket")}
	cmd := exec.Command("ssh-agent", "-D", "-a", a.socket)
	cmd.Env = append(os.Environ(), "SSH_ASKPASS=/bin/false", "SSH_ASKPASS_REQUIRE=force")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		os.RemoveAll(dir)
	})
	_, err = out.Read(make([]byte, 1)) // it listens before it says where
	require.NoError(t, err)
	return a
}

// add runs ssh-add.
func (a *sshAgent) add(args ...string) string {
	a.t.Helper()
	cmd := exec.Command("ssh-add", args...)
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+a.socket, "SSH_ASKPASS=/bin/cat", "SSH_ASKPASS_REQUIRE=force")
	out, err := cmd.CombinedOutput()
	require.NoErrorf(a.t, err, "ssh-add %q: %s", args, out)
	return string(out)
}

// login logs in with one method, and returns what was tried. The server shows
// one of its plain keys unless other algorithms are named.
func login(ctx context.Context, s *sshtest.Server, m userauth.Method, hostKeys ...string) (tried []userauth.Attempt, err error) {
	nc, err := s.DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return nil, err
	}
	config := &transport.Config{HostKey: transport.FixedHostKey(s.HostKeys...), Addr: s.Addr}
	if len(hostKeys) > 0 {
		config.HostKeyAlgorithms = hostKeys
		config.HostKey = transport.HostKeyFunc(func(context.Context, string, net.Addr, ssh.PublicKey) error { return nil })
	}
	c := transport.Client(nc, config)
	defer c.Close()
	if err := c.Handshake(ctx); err != nil {
		return nil, err
	}
	err = userauth.Authenticate(ctx, c, &userauth.Config{
		User: s.User, Methods: []userauth.Method{m}, Trace: func(a userauth.Attempt) { tried = append(tried, a) },
	})
	return tried, err
}

// names are the fingerprints of what was tried, certificates marked by "+".
func names(tried []userauth.Attempt) (all []string) {
	for _, a := range tried {
		name := ssh.FingerprintSHA256(a.Key)
		if cert, ok := a.Key.(*ssh.Certificate); ok {
			name = ssh.FingerprintSHA256(cert.Key) + "+"
		}
		all = append(all, name)
	}
	return all
}

func port(s *sshtest.Server) string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return port
}

func public(t testing.TB, file string) ssh.PublicKey {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey(read(t, file))
	require.NoError(t, err)
	return key
}

// strangers makes keys that no server knows, and gives them to the agent.
func (a *sshAgent) strangers(names ...string) {
	for _, name := range names {
		a.add("-q", keygen(a.t, a.dir, name, ""))
	}
}

// A12
func TestSixKeysInTheAgentAndTwoTries(t *testing.T) {
	a := startAgent(t)
	right := keygen(t, a.dir, "right", "")
	a.strangers("a", "b", "c", "d", "e")
	a.add("-q", right)
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{
		Config: []string{"MaxAuthTries 2"}, AuthorizedKeys: []ssh.PublicKey{public(t, right+".pub")},
	})
	connect := identity.AgentSocket(a.socket)

	tried, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: connect}))
	require.ErrorContains(t, err, "Too many authentication failures")
	require.Len(t, tried, 2)
	require.ErrorContains(t, err, "publickey ssh-ed25519 "+fingerprint(t, filepath.Join(a.dir, "a.pub"))+": refused")

	require.NoError(t, os.Remove(right)) // what is left, its .pub, is enough
	tried, err = login(t.Context(), s, identity.Method(&identity.Config{
		Keys: []ssh.Signer{load(t, right, nil)}, Agent: connect, Only: true,
	}))
	require.NoError(t, err)
	require.Equal(t, []string{fingerprint(t, right+".pub")}, names(tried))
	tried, err = login(t.Context(), s, identity.Method(&identity.Config{Keys: []ssh.Signer{load(t, right+".pub", nil)}, Agent: connect}))
	require.NoError(t, err)
	require.Len(t, tried, 1, "the keys that are named come first")
}

// TestOrderIsThatOfOpenSSH compares with the keys that ssh -v offers.
func TestOrderIsThatOfOpenSSH(t *testing.T) {
	a := startAgent(t)
	ca := keygen(t, a.dir, "ca", "")
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		keygen(t, a.dir, name, "")
	}
	for _, name := range []string{"a", "b", "e"} {
		run(t, a.dir, "ssh-keygen", "-q", "-s", ca, "-I", name, "-n", "nobody", name+".pub")
	}
	for _, name := range []string{"c", "b", "d"} { // and b's certificate
		a.add("-q", filepath.Join(a.dir, name))
	}
	require.NoError(t, os.Rename(filepath.Join(a.dir, "d"), filepath.Join(a.dir, "d-is-elsewhere")))
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"MaxAuthTries 50"}})
	for _, only := range []bool{false, true} {
		option := map[bool]string{false: "no", true: "yes"}[only]
		args := []string{"-F", "none", "-v", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
			"-o", "IdentityAgent=" + a.socket, "-o", "IdentitiesOnly=" + option, "-p", port(s)}
		var keys []ssh.Signer
		for _, name := range []string{"a", "d", "b", "e"} {
			file := filepath.Join(a.dir, name)
			args = append(args, "-o", "IdentityFile="+file) // -i wants the private key
			signers, err := identity.Load(t.Context(), file, nil)
			require.NoError(t, err)
			keys = append(keys, signers...)
		}
		out, err := exec.Command("ssh", append(args, s.User+"@127.0.0.1", "true")...).CombinedOutput()
		require.Error(t, err)
		var want []string
		for line := range strings.Lines(string(out)) {
			if _, offer, ok := strings.Cut(line, "Offering public key: "); ok {
				i := strings.Index(offer, "SHA256:")
				name := strings.Fields(offer[i:])[0]
				if strings.Contains(offer[:i], "-CERT") {
					name += "+"
				}
				want = append(want, name)
			}
		}
		require.Len(t, want, map[bool]int{false: 8, true: 7}[only], "%s", out)
		tried, err := login(t.Context(), s, identity.Method(&identity.Config{
			Keys: keys, Agent: identity.AgentSocket(a.socket), Only: only,
		}))
		require.Error(t, err)
		require.Equal(t, want, names(tried))
	}
}

func TestAgentSpeaksOnceForAKeyThatIsInAFileToo(t *testing.T) {
	a := startAgent(t)
	file := keygen(t, a.dir, "key", "")
	a.add("-q", file)
	run(t, a.dir, "ssh-keygen", "-q", "-p", "-a", "1", "-f", file, "-P", "", "-N", "secret")
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{public(t, file+".pub")}})
	o, asked := options("secret")
	keys := []ssh.Signer{load(t, file, o)}
	m := identity.Method(&identity.Config{Keys: keys, Agent: identity.AgentSocket(a.socket)})
	tried, err := login(t.Context(), s, m)
	require.NoError(t, err)
	require.Len(t, tried, 1)
	require.Empty(t, asked.asked, "the agent signs")

	// Without it the file has to, in the same configuration.
	a.add("-q", "-D")
	tried, err = login(t.Context(), s, m)
	require.NoError(t, err)
	require.Equal(t, []userauth.Status{userauth.Failure, userauth.Success}, []userauth.Status{tried[0].Status, tried[1].Status})
	require.ErrorContains(t, tried[0].Err, "the agent has no keys for this host: it is empty or locked")
	require.Len(t, asked.asked, 1)
}

func TestCertificateInAFileAndItsKeyInTheAgent(t *testing.T) {
	a := startAgent(t)
	ca, file := keygen(t, a.dir, "ca", ""), keygen(t, a.dir, "key", "")
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{UserCA: public(t, ca+".pub")})
	a.add("-q", file)
	run(t, a.dir, "ssh-keygen", "-q", "-s", ca, "-I", "id", "-n", s.User, file+".pub")
	require.NoError(t, os.Remove(file))
	for _, name := range []string{file, file + "-cert.pub"} {
		signers, err := identity.Load(t.Context(), name, nil)
		require.NoError(t, err)
		tried, err := login(t.Context(), s, identity.Method(&identity.Config{
			Keys: signers, Agent: identity.AgentSocket(a.socket), Only: true,
		}))
		require.NoError(t, err)
		require.Equal(t, fingerprint(t, file+".pub")+"+", names(tried)[len(tried)-1])
	}

	// And in the agent itself.
	a.add("-q", "-D")
	keygen(t, a.dir, "another", "")
	run(t, a.dir, "ssh-keygen", "-q", "-s", ca, "-I", "id", "-n", s.User, "another.pub")
	a.add("-q", filepath.Join(a.dir, "another"))
	_, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: identity.AgentSocket(a.socket)}))
	require.NoError(t, err)
}

func TestAgentsThatAreOfNoUseAreExplained(t *testing.T) {
	a := startAgent(t)
	a.strangers("key")
	s := sshtest.NewServer(t, nil)
	locked := startAgent(t)
	locked.strangers("key")
	client, err := net.Dial("unix", locked.socket)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, agent.NewClient(client).Lock([]byte("secret")))
	for name, test := range map[string]struct {
		connect func(context.Context) (net.Conn, error)
		want    string
	}{
		"locked":    {identity.AgentSocket(locked.socket), "it is empty or locked"},
		"none":      {identity.AgentSocket(filepath.Join(a.dir, "none")), "identity: agent: dial unix " + a.dir},
		"no agent":  {identity.SystemAgent, "identity: no agent: SSH_AUTH_SOCK is not set"},
		"own error": {func(context.Context) (net.Conn, error) { return nil, errNobody }, "nobody is there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SSH_AUTH_SOCK", "")
			_, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: test.connect}))
			require.ErrorContains(t, err, test.want)
			// Files do without it.
			tried, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: test.connect, Keys: []ssh.Signer{s.Signer}}))
			require.NoError(t, err)
			require.ErrorContains(t, tried[0].Err, test.want)
		})
	}
	t.Setenv("SSH_AUTH_SOCK", a.socket)
	_, err = login(t.Context(), s, identity.Method(&identity.Config{Agent: identity.SystemAgent}))
	require.ErrorContains(t, err, fingerprint(t, filepath.Join(a.dir, "key.pub"))+": refused")

	_, err = login(t.Context(), s, identity.Method(&identity.Config{Agent: identity.SystemAgent, Only: true}))
	require.ErrorContains(t, err, "publickey: skipped: the agent has 1 keys, and none of them is among those that are wanted")

	_, err = login(t.Context(), s, identity.Method(nil))
	require.ErrorContains(t, err, "no keys")
	_, err = login(t.Context(), s, identity.Method(&identity.Config{Keys: []ssh.Signer{load(t, filepath.Join(a.dir, "key.pub"), nil)}}))
	require.ErrorContains(t, err, "skipped: no agent has its private key: identity: "+a.dir+"/key.pub: there is only the public key")
}

func TestConnectionsToTheAgentAreClosed(t *testing.T) {
	a := startAgent(t)
	a.strangers("key")
	s := sshtest.NewServer(t, nil)
	closed := make(chan struct{}, 10)
	made := 0
	connect := func(ctx context.Context) (net.Conn, error) {
		c, err := identity.AgentSocket(a.socket)(ctx)
		made++
		return &closing{c, closed}, err
	}
	m := identity.Method(&identity.Config{Agent: connect, Keys: []ssh.Signer{s.Signer}})
	for range 3 {
		_, err := login(t.Context(), s, m)
		require.NoError(t, err)
		select {
		case <-closed:
		case <-time.After(10 * time.Second):
			t.Fatal("left open")
		}
	}
	require.Equal(t, 3, made)
}

type closing struct {
	net.Conn
	closed chan<- struct{}
}

func (c *closing) Close() error {
	c.closed <- struct{}{}
	return c.Conn.Close()
}

func TestKeysOfAnAgentInThisProcess(t *testing.T) {
	keyring := agent.NewKeyring()
	for _, kind := range []string{"rsa", "ecdsa", "ed25519"} {
		file := keygen(t, t.TempDir(), kind, "", "-t", kind)
		raw, err := ssh.ParseRawPrivateKey(read(t, file))
		require.NoError(t, err)
		require.NoError(t, keyring.Add(agent.AddedKey{PrivateKey: raw, Comment: kind}))
		s := sshtest.NewServer(t, &sshtest.Options{AuthorizedKeys: []ssh.PublicKey{public(t, file+".pub")}})
		tried, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: identity.InProcess(keyring)}))
		require.NoError(t, err)
		require.Equal(t, userauth.Success, tried[len(tried)-1].Status)
	}
}

// A15: who asks may be a server to which the agent is forwarded.
func TestAgentInThisProcessReadsNoHugeMessages(t *testing.T) {
	conn, err := identity.InProcess(agent.NewKeyring())(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = conn.Write([]byte{0, 4, 0, 1})
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)

	_, err = identity.InProcess(nil)(t.Context())
	require.ErrorContains(t, err, "no agent")
}

func TestFunctionsOfTheREADME(t *testing.T) {
	a := startAgent(t)
	file := keygen(t, a.dir, "key", "")
	a.strangers("a", "b", "c", "d", "e", "f")
	a.add("-q", file)
	t.Setenv("SSH_AUTH_SOCK", a.socket)
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{public(t, file+".pub")}})
	method, err := deployment(t.Context(), file, nil)
	require.NoError(t, err)
	tried, err := login(t.Context(), s, method)
	require.NoError(t, err)
	require.Len(t, tried, 1)

	client, err := nacre.Dial(t.Context(), s.Target, &nacre.Config{
		HostKey: transport.FixedHostKey(s.HostKeys...), Auth: []userauth.Method{method},
	})
	require.NoError(t, err)
	defer client.Close()
	_, err = withAgent(t.Context(), client)
	require.ErrorAs(t, err, new(*channel.ExitError), "there is no repository")
}
