package identity_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

func TestPassphraseIsAskedForUntilItIsRight(t *testing.T) {
	dir := t.TempDir()
	file := keygen(t, dir, "key", "right")
	for name, test := range map[string]struct {
		give  []string
		asked int
		want  string
	}{
		"at once":    {[]string{"right"}, 1, ""},
		"the third":  {[]string{"wrong", "wrong", "right"}, 3, ""},
		"too late":   {[]string{"wrong", "wrong", "wrong", "right"}, 3, "key: all 3 passphrases given were wrong"},
		"none":       {[]string{"wrong", ""}, 2, "key: the passphrase given is empty"},
		"nobody":     {nil, 1, "key: no passphrase: nobody is there"},
		"a newline?": {[]string{"right\n", "right"}, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, a := options(test.give...)
			key := load(t, file, o)
			_, err := key.Sign(nil, []byte("data"))
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.want)
				require.Contains(t, err.Error(), "identity: "+file)
				require.NotContains(t, err.Error(), "right")
			}
			require.Len(t, a.asked, test.asked)
			for i, r := range a.asked {
				require.Equal(t, identity.PassphraseRequest{File: file, Key: key.PublicKey(), Attempt: i + 1}, r)
			}
		})
	}
	_, err := load(t, file, nil).Sign(nil, nil)
	require.ErrorContains(t, err, "Options.Passphrase is not set")
}

// A19: the passphrase is zeroed.
func TestPassphraseIsForgotten(t *testing.T) {
	file := keygen(t, t.TempDir(), "key", "secret")
	passphrase := []byte("secret")
	key := load(t, file, &identity.Options{Passphrase: func(context.Context, *identity.PassphraseRequest) ([]byte, error) {
		return passphrase, nil
	}})
	requireSigns(t, key)
	require.Equal(t, make([]byte, 6), passphrase)
}

func TestManyLoginsAskForOnePassphraseOnce(t *testing.T) {
	o, a := options("secret", "again")
	key := load(t, keygen(t, t.TempDir(), "key", "secret"), o)
	var wg sync.WaitGroup
	errs := make(chan error, 10)
	for range 10 {
		wg.Go(func() {
			_, err := key.Sign(nil, []byte("data"))
			errs <- err
		})
	}
	wg.Wait()
	for range 10 {
		require.NoError(t, <-errs)
	}
	require.Len(t, a.asked, 1)
}

func TestWaitForAPassphraseEndsWithTheContext(t *testing.T) {
	asked := make(chan struct{}, 1)
	key := load(t, keygen(t, t.TempDir(), "key", "secret"), &identity.Options{
		Passphrase: func(ctx context.Context, _ *identity.PassphraseRequest) ([]byte, error) {
			asked <- struct{}{}
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}}).(userauth.InteractiveSigner)
	first, cancelFirst := context.WithCancelCause(t.Context())
	second, cancelSecond := context.WithCancelCause(t.Context())
	result := make(chan error, 2)
	go func() {
		_, err := key.SignContext(first, nil, ssh.KeyAlgoED25519)
		result <- err
	}()
	<-asked
	goneHome := errors.New("gone home")
	cancelSecond(goneHome) // the second waits until the first has asked
	_, err := key.SignContext(second, nil, ssh.KeyAlgoED25519)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, goneHome)
	cancelFirst(errNobody)
	err = <-result
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, errNobody)
}

// The file may sign where the agent refuses, but nobody types the passphrase for a
// server that does not want the key.
func TestPassphraseOfAKeyThatTheAgentRefuses(t *testing.T) {
	a := startAgent(t)
	file := keygen(t, a.dir, "key", "")
	wants := sshtest.OpenSSH(t, &sshtest.DaemonOptions{AuthorizedKeys: []ssh.PublicKey{public(t, file+".pub")}})
	other := sshtest.OpenSSH(t, nil)
	known := write(t, filepath.Join(a.dir, "known_hosts"), wants.KnownHosts())
	locked := filepath.Join(a.dir, "locked")
	write(t, locked, read(t, file))
	run(t, a.dir, "ssh-keygen", "-q", "-p", "-a", "1", "-f", locked, "-P", "", "-N", "secret")
	for name, test := range map[string]struct {
		add    []string
		server *sshtest.Server
		asked  int
	}{
		"wanted":                       {[]string{"-c", file}, wants, 1},
		"not wanted":                   {[]string{"-c", file}, other, 0},
		"not refused once it is bound": {[]string{"-H", known, "-h", "[127.0.0.1]:" + port(wants), file}, wants, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a.add("-q", "-D")
			a.add(append([]string{"-q"}, test.add...)...)
			o, asked := options("secret")
			tried, err := login(t.Context(), test.server, identity.Method(&identity.Config{
				Keys: []ssh.Signer{load(t, locked, o)}, Agent: identity.AgentSocket(a.socket), IdentitiesOnly: true,
			}))
			require.Len(t, asked.asked, test.asked)
			require.Equal(t, test.server == wants, err == nil, err)
			if err != nil {
				require.ErrorContains(t, tried[0].Err, "the agent did not sign")
				require.Equal(t, userauth.Failure, tried[1].Status)
				require.NoError(t, tried[1].Err)
			}
		})
	}
}
