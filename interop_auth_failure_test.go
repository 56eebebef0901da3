package nacre_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// A12: an agent with more keys than the server allows tries makes logins fail. The
// error names the tried and the untried keys.
func TestTooManyKeysInTheAgent(t *testing.T) {
	a := startAgent(t)
	var names []string
	for range 6 {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)
		require.NoError(t, a.Add(agent.AddedKey{PrivateKey: private}))
		key, err := ssh.NewPublicKey(public)
		require.NoError(t, err)
		names = append(names, userauth.KeyName(key))
	}
	for name, s := range map[string]*sshtest.Server{
		"openssh":  sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"MaxAuthTries 2"}}),
		"embedded": sshtest.NewServer(t, &sshtest.Options{MaxAuthTries: 2}),
	} {
		t.Run(name, func(t *testing.T) {
			c := config(s)
			c.Auth = []userauth.Method{userauth.Agent(a), userauth.Password("sesame")}
			_, err := nacre.Dial(t.Context(), s.Target, c)
			phase(t, "authenticate", err)
			require.NotContains(t, err.Error(), "\n")
			require.ErrorAs(t, err, new(*transport.DisconnectError))
			var e *userauth.Error
			require.ErrorAs(t, err, &e)
			require.True(t, e.TooManyFailures)
			require.Equal(t, 1, e.Refusals)
			require.Equal(t, "password", e.Untried[len(e.Untried)-1].Method)
			// A key already sent counts as tried, even if the server never looked at it.
			require.Equal(t, 7, len(e.Tried)+len(e.Untried))
			for _, name := range names {
				require.Contains(t, err.Error(), strings.Fields(name)[1])
			}
			require.ErrorContains(t, err, "the server's limit (MaxAuthTries)")
		})
	}
}

func TestKeyThatIsNamedFirstGetsIn(t *testing.T) {
	a := startAgent(t)
	for range 6 {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)
		require.NoError(t, a.Add(agent.AddedKey{PrivateKey: private}))
	}
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Config: []string{"MaxAuthTries 2"}})
	works(t, s, userauth.PublicKeys(s.Signer), userauth.Agent(a))
	fails(t, s, userauth.Agent(a), userauth.PublicKeys(s.Signer))
}

// A server with MaxAuthTries 1 must not be asked about a key before the password:
// the key is only the second factor, and its refusal would end the connection.
func TestFirstFactorIsNotGuessedWhereThatCostsTheConnection(t *testing.T) {
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{
		Account: &sshtest.Account{}, Config: []string{"MaxAuthTries 1", "AuthenticationMethods password,publickey"},
	})
	works(t, s, userauth.PublicKeys(s.Signer), userauth.Password(s.Password))
	fails(t, s, userauth.PublicKeys(s.Signer), userauth.Password("wrong"))

	dialled := 0
	c := config(s)
	c.Auth = []userauth.Method{userauth.PublicKeys(s.Signer)}
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled++
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	_, err := nacre.Dial(t.Context(), s.Target, c)
	phase(t, "authenticate", err)
	require.Equal(t, 1, dialled, "there is nothing else to offer")
}

func TestFactorsOfServers(t *testing.T) {
	questions := []sshtest.Question{{Prompt: "Code: ", Answer: "755224"}}
	code := userauth.KeyboardInteractive(func(context.Context, userauth.Challenge) ([]string, error) {
		return []string{"755224"}, nil
	})
	account := &sshtest.Account{Codes: []string{"755224", "755224"}}
	for name, s := range map[string]*sshtest.Server{
		"embedded": sshtest.NewServer(t, &sshtest.Options{Questions: questions,
			Factors: []string{"keyboard-interactive", "publickey", "password"}}),
		"openssh": sshtest.OpenSSH(t, &sshtest.DaemonOptions{Account: account,
			Config: []string{"AuthenticationMethods keyboard-interactive,publickey,password"}}),
	} {
		t.Run(name, func(t *testing.T) {
			c := config(s)
			c.Auth = []userauth.Method{userauth.PublicKeys(s.Signer), userauth.Password(s.Password), code}
			c.RequireFactors = 3
			client, err := nacre.Dial(t.Context(), s.Target, c)
			require.NoError(t, err)
			require.NoError(t, client.Close())
			c.RequireFactors = 4
			_, err = nacre.Dial(t.Context(), s.Target, c)
			require.Error(t, err)
		})
	}
	s := sshtest.NewServer(t, &sshtest.Options{Factors: []string{"none"}})
	c := config(s)
	c.Auth = []userauth.Method{userauth.None()}
	c.RequireFactors = 1
	_, err := nacre.Dial(t.Context(), s.Target, c)
	phase(t, "authenticate", err)
	require.ErrorIs(t, err, userauth.ErrTooFewFactors)
}
