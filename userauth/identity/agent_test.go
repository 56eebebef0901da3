package identity_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// A12: more keys than the server's MaxAuthTries.
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

	require.NoError(t, os.Remove(right)) // the .pub is enough
	tried, err = login(t.Context(), s, identity.Method(&identity.Config{
		Keys: []ssh.Signer{load(t, right, nil)}, Agent: connect, IdentitiesOnly: true,
	}))
	require.NoError(t, err)
	require.Equal(t, []string{fingerprint(t, right+".pub")}, names(tried))
	tried, err = login(t.Context(), s, identity.Method(&identity.Config{Keys: []ssh.Signer{load(t, right+".pub", nil)}, Agent: connect}))
	require.NoError(t, err)
	require.Len(t, tried, 1, "the keys that are named come first")
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

	// Without the agent, the file signs in the same configuration.
	a.add("-q", "-D")
	tried, err = login(t.Context(), s, m)
	require.NoError(t, err)
	require.Equal(t, []userauth.Status{userauth.Failure, userauth.Success}, []userauth.Status{tried[0].Status, tried[1].Status})
	require.ErrorContains(t, tried[0].Err, "the agent has no keys for this host: the agent is empty or locked")
	require.Len(t, asked.asked, 1)
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
		"locked":    {identity.AgentSocket(locked.socket), "the agent is empty or locked"},
		"none":      {identity.AgentSocket(filepath.Join(a.dir, "none")), "identity: agent: dial unix " + a.dir},
		"no agent":  {identity.SystemAgent, "identity: no agent: SSH_AUTH_SOCK is not set"},
		"own error": {func(context.Context) (net.Conn, error) { return nil, errNobody }, "nobody is there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SSH_AUTH_SOCK", "")
			_, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: test.connect}))
			require.ErrorContains(t, err, test.want)
			// The files sign without the agent.
			tried, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: test.connect, Keys: []ssh.Signer{s.Signer}}))
			require.NoError(t, err)
			require.ErrorContains(t, tried[0].Err, test.want)
		})
	}
	t.Setenv("SSH_AUTH_SOCK", a.socket)
	_, err = login(t.Context(), s, identity.Method(&identity.Config{Agent: identity.SystemAgent}))
	require.ErrorContains(t, err, fingerprint(t, filepath.Join(a.dir, "key.pub"))+": refused")

	_, err = login(t.Context(), s, identity.Method(&identity.Config{Agent: identity.SystemAgent, IdentitiesOnly: true}))
	require.ErrorContains(t, err, "publickey: skipped: none of the agent's 1 keys is in Config.Keys (IdentitiesOnly)")

	_, err = login(t.Context(), s, identity.Method(nil))
	require.ErrorContains(t, err, "no keys")
	_, err = login(t.Context(), s, identity.Method(&identity.Config{Keys: []ssh.Signer{load(t, filepath.Join(a.dir, "key.pub"), nil)}}))
	require.ErrorContains(t, err, "skipped: no agent has its private key: identity: "+a.dir+"/key.pub: the private key is not here")
}

func TestConnectingToAnAgentEndsWithTheContextAndItsCause(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errNobody)
	_, err := identity.AgentSocket(startAgent(t).socket)(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, errNobody)
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
		<-closed
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

// A15: a server with the forwarded agent sends a huge message.
func TestAgentInThisProcessReadsNoHugeMessages(t *testing.T) {
	conn, err := identity.InProcess(agent.NewKeyring())(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte{0, 4, 0, 1})
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)

	_, err = identity.InProcess(nil)(t.Context())
	require.ErrorContains(t, err, "no agent")
}

func TestKeyThatIsGoneWhenItShouldSign(t *testing.T) {
	s := sshtest.NewServer(t, nil)
	keyring := agent.NewKeyring().(agent.ExtendedAgent)
	raw, err := ssh.ParseRawPrivateKey(read(t, keygen(t, t.TempDir(), "key", "")))
	require.NoError(t, err)
	require.NoError(t, keyring.Add(agent.AddedKey{PrivateKey: raw, Comment: "mine"}))
	_, err = login(t.Context(), s, identity.Method(&identity.Config{Agent: identity.InProcess(forgetful{keyring})}))
	require.ErrorContains(t, err, `the agent no longer has "mine"`)
}

// forgetful is an agent that forgets all keys instead of signing.
type forgetful struct{ agent.ExtendedAgent }

func (f forgetful) SignWithFlags(ssh.PublicKey, []byte, agent.SignatureFlags) (*ssh.Signature, error) {
	if err := f.RemoveAll(); err != nil {
		return nil, err
	}
	return nil, os.ErrNotExist
}

func TestRefusalsOfTheAgentAreExplainedAndTheNextKeyIsTried(t *testing.T) {
	a := startAgent(t)
	file, next := keygen(t, a.dir, "key", ""), keygen(t, a.dir, "next", "")
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{public(t, file+".pub"), public(t, next+".pub")}})
	a.add("-q", "-c", file)
	connect := identity.AgentSocket(a.socket)

	_, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: connect}))
	require.ErrorContains(t, err, "publickey ssh-ed25519 "+fingerprint(t, file))
	require.ErrorContains(t, err, "did not sign with \""+file+"\" (agent: failed to sign challenge): the signature was not confirmed (ssh-add -c)")

	a.add("-q", next)
	tried, err := login(t.Context(), s, identity.Method(&identity.Config{Agent: connect}))
	require.NoError(t, err)
	require.Equal(t, []string{fingerprint(t, file), fingerprint(t, next)}, names(tried))
	require.ErrorContains(t, tried[0].Err, "the agent did not sign with")

	// A key in a file as well needs no confirmation there.
	tried, err = login(t.Context(), s, identity.Method(&identity.Config{Keys: []ssh.Signer{load(t, file, nil)}, Agent: connect, IdentitiesOnly: true}))
	require.NoError(t, err)
	require.Len(t, tried, 1)
}
