package knownhosts_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts"
)

func TestNothingIsWrittenBeforeAuthentication(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dir", "known_hosts")
	var changes []knownhosts.Change
	p := &knownhosts.Policy{
		Sources: []knownhosts.Source{load(t, file)}, StrictHostKeyChecking: knownhosts.StrictAcceptNew, HashKnownHosts: true,
		Trace: func(c knownhosts.Change) { changes = append(changes, c) },
	}
	require.NoError(t, p.LearnHostKey(t.Context(), "host:22", nil, key("host"))) // never verified
	require.NoError(t, p.VerifyHostKey(t.Context(), "host:22", nil, key("host")))
	require.NoFileExists(t, file)
	require.NoError(t, p.LearnHostKey(t.Context(), "host:22", nil, key("host")))
	require.NotContains(t, read(t, file), "host")
	require.Len(t, find(t, "host", file), 1)
	require.Equal(t, []knownhosts.Change{{Name: "host", File: file, Key: key("host")}}, changes)
	require.Contains(t, changes[0].String(), "recorded ssh-ed25519 SHA256:")
}

func TestWhatCannotBeWrittenIsReportedAndTriedAgain(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "known_hosts")
	var changes []knownhosts.Change
	p := &knownhosts.Policy{
		Sources: []knownhosts.Source{load(t, file)}, StrictHostKeyChecking: knownhosts.StrictAcceptNew,
		Trace: func(c knownhosts.Change) { changes = append(changes, c) },
	}
	require.NoError(t, os.Mkdir(file, 0o700))
	require.NoError(t, connect(t, p, "host:22", nil, key("host")))
	require.Len(t, changes, 1)
	require.ErrorContains(t, changes[0].Err, "not a regular file")
	require.NoError(t, os.Remove(file))
	require.NoError(t, connect(t, p, "host:22", nil, key("host")))
	require.Equal(t, "host "+text(key("host"))+"\n", read(t, file))
	require.NoError(t, changes[1].Err)
}

// Two servers claim a name at the same time, and the second of them is wrong.
func TestAnotherKeyLearnedMeanwhileEndsTheConnection(t *testing.T) {
	file := write(t, "")
	policy := func() *knownhosts.Policy {
		return &knownhosts.Policy{Sources: []knownhosts.Source{load(t, file)}, StrictHostKeyChecking: knownhosts.StrictAcceptNew}
	}
	one, two := policy(), policy()
	require.NoError(t, one.VerifyHostKey(t.Context(), "host:22", nil, key("1")))
	require.NoError(t, two.VerifyHostKey(t.Context(), "host:22", nil, key("2")))
	require.NoError(t, one.LearnHostKey(t.Context(), "host:22", nil, key("1")))
	err := two.LearnHostKey(t.Context(), "host:22", nil, key("2"))
	requireKind(t, knownhosts.Changed, err)
	require.ErrorContains(t, err, file+":1")
	require.Equal(t, "host "+text(key("1"))+"\n", read(t, file))
}

func TestAKeyRevokedMeanwhileEndsTheConnection(t *testing.T) {
	file := write(t, "# mine\n")
	p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, file)}, StrictHostKeyChecking: knownhosts.StrictAcceptNew}
	require.NoError(t, p.VerifyHostKey(t.Context(), "host:22", nil, key("host")))
	content := "# mine\n@revoked * " + text(key("other")) + "\n@revoked * " + text(key("host")) + "\n"
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	err := p.LearnHostKey(t.Context(), "host:22", nil, key("host"))
	requireKind(t, knownhosts.Revoked, err)
	require.ErrorContains(t, err, "revoked by @revoked "+file+":3")
	require.Equal(t, content, read(t, file))
}

func TestAnotherKeyForTheAddressLearnedMeanwhileIsNoChangeOfTheHost(t *testing.T) {
	file := write(t, "host "+text(key("host"))+"\n")
	p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, file)}, CheckHostIP: true}
	remote := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22}
	require.NoError(t, p.VerifyHostKey(t.Context(), "host:22", remote, key("host")))
	require.NoError(t, load(t, file).Add("192.0.2.1:22", key("other")))
	err := p.LearnHostKey(t.Context(), "host:22", remote, key("host"))
	requireKind(t, knownhosts.AddressChanged, err)
	require.ErrorContains(t, err, "ssh-keygen -R '192.0.2.1' -f '"+file+"'")
}

// ssh(1) writes at the same time, and knows no lock.
func TestSSHLearnsIntoTheSameFile(t *testing.T) {
	const each = 10
	file := write(t, "host "+text(key("host"))+"\n")
	errs := make(chan error, each)
	for i := range each {
		d := load(t, file)
		go func() { errs <- d.Add(fmt.Sprintf("ours%d:22", i), key("host")) }()
	}
	t.Run("ssh", func(t *testing.T) {
		for i := range each {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				accepts, says := sshConnects(t, nil, file, "host.example", "22", signer("host"),
					"StrictHostKeyChecking=accept-new", fmt.Sprintf("HostKeyAlias=theirs%d", i))
				require.True(t, accepts, says)
			})
		}
	})
	for range each {
		require.NoError(t, <-errs)
	}
	require.Len(t, lines(t, file), 2*each+1)
	d := load(t, file)
	require.Empty(t, d.Skipped())
	for i := range each {
		requireKind(t, 0, verify(t, d, fmt.Sprintf("ours%d:22", i), key("host")))
		requireKind(t, 0, verify(t, d, fmt.Sprintf("theirs%d:22", i), key("host")))
	}
}
