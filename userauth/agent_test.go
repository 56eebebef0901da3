package userauth_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre/userauth"
)

// brokenAgent is an agent with a Signers of the test.
type brokenAgent struct {
	agent.Agent
	signers func() ([]ssh.Signer, error)
}

func (a brokenAgent) Signers() ([]ssh.Signer, error) { return a.signers() }

// dialAgent serves an agent's side of a pipe, and returns a client.
func dialAgent(t *testing.T, serve func(io.ReadWriter) error) agent.ExtendedAgent {
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer server.Close()
		_ = serve(server)
	}()
	t.Cleanup(func() { client.Close(); <-done })
	return agent.NewClient(client)
}

// flagKeeper is a keyring that records the flags of signatures.
type flagKeeper struct {
	agent.ExtendedAgent
	flags []agent.SignatureFlags
}

func (k *flagKeeper) SignWithFlags(key ssh.PublicKey, data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	k.flags = append(k.flags, flags)
	return k.ExtendedAgent.SignWithFlags(key, data, flags)
}

// A11: an agent is asked for SHA-2, with the right flags.
func TestAgentOverItsProtocol(t *testing.T) {
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	cert := certSigner(t, rsaSigner(t)).PublicKey().(*ssh.Certificate)
	for name, tc := range map[string]struct {
		added agent.AddedKey
		list  string
		want  string
		flags agent.SignatureFlags
	}{
		"ed25519":              {agent.AddedKey{PrivateKey: edKey}, "", "ssh-ed25519", 0},
		"RSA":                  {agent.AddedKey{PrivateKey: newRSAKey()}, "", "rsa-sha2-512", agent.SignatureFlagRsaSha512},
		"RSA, 256 only":        {agent.AddedKey{PrivateKey: newRSAKey()}, "rsa-sha2-256", "rsa-sha2-256", agent.SignatureFlagRsaSha256},
		"RSA certificate":      {agent.AddedKey{PrivateKey: newRSAKey(), Certificate: cert}, "", "rsa-sha2-512-cert-v01@openssh.com", agent.SignatureFlagRsaSha512},
		"RSA certificate, 256": {agent.AddedKey{PrivateKey: newRSAKey(), Certificate: cert}, "rsa-sha2-256", "rsa-sha2-256-cert-v01@openssh.com", agent.SignatureFlagRsaSha256},
	} {
		t.Run(name, func(t *testing.T) {
			keeper := &flagKeeper{ExtendedAgent: agent.NewKeyring().(agent.ExtendedAgent)}
			require.NoError(t, keeper.Add(tc.added))
			keys, err := keeper.List()
			require.NoError(t, err)
			p := keyServer(t, keys[0])
			p.extensions["server-sig-algs"] = []byte(tc.list)
			a := dialAgent(t, func(c io.ReadWriter) error { return agent.ServeAgent(keeper, c) })
			require.NoError(t, authenticate(t, p, userauth.Agent(a)))
			require.Equal(t, []string{"sign " + tc.want}, p.keyRequests(t))
			require.Equal(t, []agent.SignatureFlags{tc.flags}, keeper.flags)
		})
	}
}

// A14: agents that fail, lie or have no keys.
func TestAgentThatIsNoUseIsPassedOver(t *testing.T) {
	gone := errors.New("agent is gone")
	answer := func(packet ...byte) func(t *testing.T) agent.Agent {
		return func(t *testing.T) agent.Agent {
			return dialAgent(t, func(c io.ReadWriter) error {
				var request [5]byte
				if _, err := io.ReadFull(c, request[:]); err != nil {
					return err
				}
				_, err := c.Write(packet)
				return err
			})
		}
	}
	for name, tc := range map[string]struct {
		agent func(t *testing.T) agent.Agent
		why   string
	}{
		"none":  {func(*testing.T) agent.Agent { return nil }, "there is no agent"},
		"empty": {func(*testing.T) agent.Agent { return agent.NewKeyring() }, "no keys"},
		"gone": {func(*testing.T) agent.Agent {
			return brokenAgent{signers: func() ([]ssh.Signer, error) { return nil, gone }}
		}, gone.Error()},
		"hangs up":         {answer(), "agent failed"},
		"huge length":      {answer(0xff, 0xff, 0xff, 0xff), "agent failed"},
		"empty packet":     {answer(0, 0, 0, 0), "agent failed"},
		"wrong message":    {answer(0, 0, 0, 1, 6), "agent failed"},
		"refuses":          {answer(0, 0, 0, 1, 5), "agent failed"},
		"a million keys":   {answer(0, 0, 0, 5, 12, 0, 0x0f, 0x42, 0x40), "agent failed"},
		"keys cut short":   {answer(0, 0, 0, 9, 12, 0, 0, 0, 1, 0, 0, 0, 9), "agent failed"},
		"no type in a key": {answer(0, 0, 0, 13, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0), "agent failed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := verdicts(failure("publickey", "other@example.com"))
			e := requireError(t, authenticate(t, p, userauth.Agent(tc.agent(t)), other{}))
			require.Equal(t, []string{"other@example.com"}, p.methods(t))
			require.ErrorIs(t, e.Tried[0].Err, userauth.ErrSkip)
			require.ErrorContains(t, e.Tried[0].Err, tc.why)
			require.ErrorContains(t, e, "publickey: skipped: ")
		})
	}
}

// A14: the agent dies after the list of keys.
func TestAgentThatDiesBetweenListAndSignature(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	blob := signer.PublicKey().Marshal()
	list := binary.BigEndian.AppendUint32([]byte{12, 0, 0, 0, 1}, uint32(len(blob)))
	list = append(append(list, blob...), 0, 0, 0, 0)
	a := dialAgent(t, func(c io.ReadWriter) error {
		var request [5]byte
		if _, err := io.ReadFull(c, request[:]); err != nil {
			return err
		}
		_, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(list))), list...))
		return err
	})
	p := verdicts(success)
	require.NoError(t, authenticate(t, p, userauth.Agent(a), other{}))
	require.Equal(t, []string{"other@example.com"}, p.methods(t))
}

// A14: the list of keys is bounded.
func TestAgentWithTooManyKeysIsBounded(t *testing.T) {
	plain := plainSigner{rsaSigner(t)}
	signers := make([]ssh.Signer, 5000)
	for i := range signers {
		signers[i] = fakeSigner{key: fakeKey{"ssh-dss", []byte{byte(i >> 8), byte(i)}}}
	}
	signers[4999] = plain
	p := verdicts()
	e := requireError(t, authenticate(t, p, userauth.Agent(brokenAgent{signers: func() ([]ssh.Signer, error) { return signers, nil }})))
	require.Len(t, e.Tried, 2048)
	require.Less(t, len(e.Error()), 16<<10)
}

func TestSecondFactorAfterTheAgent(t *testing.T) {
	keyring := agent.NewKeyring()
	require.NoError(t, keyring.Add(agent.AddedKey{PrivateKey: newRSAKey()}))
	p := verdicts(partial("password"), success)
	require.NoError(t, authenticate(t, p, userauth.Agent(keyring), userauth.Password("sesame")))
}

// A12: an agent has more keys than the server bears. The error names the keys
// that were tried.
func TestErrorNamesTheKeysTriedWhenTheServerCutsTheConnection(t *testing.T) {
	var signers []ssh.Signer
	for range 20 {
		signers = append(signers, ed25519Signer(t))
	}
	refusal := failure("publickey")
	p := verdicts(refusal, refusal, refusal, refusal, refusal)
	e := requireError(t, authenticate(t, p, userauth.Agent(brokenAgent{signers: func() ([]ssh.Signer, error) { return signers, nil }})))
	require.ErrorIs(t, e, errBroken)
	require.Len(t, e.Tried, 6)
	require.Len(t, e.Untried, 14)
	before, after, found := strings.Cut(e.Error(), "never tried: publickey ssh-ed25519")
	require.True(t, found)
	for i, s := range signers[:18] {
		name := ssh.FingerprintSHA256(s.PublicKey())
		require.Equal(t, i < 6, strings.Contains(before, name))
		require.Equal(t, i >= 6, strings.Contains(after, name))
	}
	require.Contains(t, after, "and 2 more")
}

// A14: an agent or a signer that hangs.
func TestContextDoesNotWaitForAnAgentOrASigner(t *testing.T) {
	for _, stage := range []string{"list", "sign"} {
		t.Run(stage, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				hangs := fakeSigner{ed25519Signer(t).PublicKey(), func([]byte, string) (*ssh.Signature, error) {
					<-release
					return nil, errors.New("too late")
				}}
				a := brokenAgent{signers: func() ([]ssh.Signer, error) {
					if stage == "list" {
						<-release
					}
					return []ssh.Signer{hangs}, nil
				}}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				p := verdicts()
				err := userauth.Authenticate(ctx, p, &userauth.Config{User: "bob", Methods: []userauth.Method{userauth.Agent(a), other{}}})
				e := requireError(t, err)
				require.ErrorIs(t, e, context.DeadlineExceeded)
				require.Len(t, e.Tried, 1)
				require.True(t, p.closed)
				require.Empty(t, p.written)
			})
		})
	}
}
