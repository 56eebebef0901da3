package sshconfig_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// TestNewCriteria checks criteria without an oracle: Debian's ssh is older.
func TestNewCriteria(t *testing.T) {
	for _, test := range []struct {
		criteria, before, command string
		want                      bool
	}{
		{"localnetwork 192.0.2.0/24", "", "", true}, {"localnetwork 198.51.100.0/24,192.0.2.7", "", "", true}, {"localnetwork 10.0.0.0/8", "", "", false},
		{"localnetwork 2001:db8::/32", "", "", true}, {"!localnetwork 10.0.0.0/8", "", "", true}, {"localnetwork=192.0.2.0/24", "", "", true},
		{"tagged blue", "Tag blue", "", true}, {"tagged b*,!black", "Tag blue", "", true}, {"tagged red", "Tag blue", "", false}, {`tagged ""`, "", "", true},
		{`tagged ""`, "Tag blue", "", false}, {"tagged=blue", "Tag blue", "", true}, {"tagged *", "", "", false},
		{"version OpenSSH_10.*", "", "", true}, {"version OpenSSH_9.*", "", "", false}, {"!version OpenSSH_9.*", "", "", true},
		{"sessiontype shell", "", "", true}, {"sessiontype exec", "", "ls", true}, {"sessiontype none", "SessionType none", "", true},
		{"sessiontype subsystem", "SessionType subsystem", "sftp", true}, {"sessiontype shell,exec", "", "ls", true}, {"sessiontype none", "", "", false},
		{"command ls*", "", "ls -l", true}, {`command ""`, "", "", true}, {`command ""`, "", "ls", false}, {"command=rsync*", "", "ls", false}, {"!command ls", "", "", true},
		{"command 'ls -l'", "", "ls -l", true}, {`command "ls \"a\""`, "", `ls "a"`, true},
	} {
		l := loader(test.before + "\nMatch " + test.criteria + "\nPort 7\n")
		l.Command = test.command
		l.Addresses = func() ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::1%eth0")}, nil
		}
		config, err := l.Load(t.Context(), "host")
		require.NoError(t, err, test.criteria)
		require.Equal(t, test.want, config.Port == 7, "%+v", test)
	}
}

// TestBadCriteria checks the mistakes in a Match line.
func TestBadCriteria(t *testing.T) {
	for criteria, want := range map[string]string{
		"localnetwork x": "not of the form address/bits", "localnetwork 192.0.2.1/24": "bits behind the mask", "localnetwork 1.2.3.4/33": "not of the form",
		"localnetwork ,": "not of the form", "tagged": "no argument", "version": "no argument", `version ""`: "no argument", "sessiontype=shell x": "is not known",
		"bogus x": "is not known", `""`: "no argument", "all host x": "must be the only one", "host a user b all": "must be the only one", "exec true": "set Loader.Exec",
		"host x #": "",
	} {
		if want == "" {
			load(t, "Match "+criteria+"\n", "host")
			continue
		}
		require.ErrorContains(t, refuse(t, "Match "+criteria+"\n", "host"), want, criteria)
	}
}

// TestExec checks the commands of Match exec: their time and their tokens.
func TestExec(t *testing.T) {
	var ran []string
	l := loader("User eve\nHostName %h.example\nMatch exec \"a %h %n %r %u %p %d %i %l %L %k %j %% $HOME\"\nPort 1\n" +
		"Match host other exec b\nPort 2\nHost other\nInclude /c\nMatch all\nMatch exec no\nPort 3\nMatch !exec no\nBatchMode yes\n")
	l.FS = tree("c", "Match exec c\n")
	l.Exec = func(_ context.Context, command string) (bool, error) {
		ran = append(ran, command)
		return command != "no", nil
	}
	config, err := l.Load(t.Context(), "web")
	require.NoError(t, err)
	require.Equal(t, []string{"a web.example web eve bob 22 /home/bob 1000 desk.example.com desk web.example  % $HOME", "no", "no"}, ran)
	require.Equal(t, 1, config.Port)
	require.True(t, config.BatchMode)

	l.Exec = func(context.Context, string) (bool, error) { return false, errors.New("no such shell") }
	_, err = l.Load(t.Context(), "web")
	require.ErrorContains(t, err, "config line 3: Match: command")
	require.ErrorContains(t, err, "no such shell")
	require.ErrorContains(t, refuse(t, "Match host other exec %z\n", "web"), "token %z is not known here")
}

// TestShell checks the function for Loader.Exec with real commands.
func TestShell(t *testing.T) {
	t.Setenv("SHELL", "/bin/sh")
	for command, want := range map[string]bool{"true": true, "exit 3": false, "test a = a": true} {
		matched, err := sshconfig.Shell(t.Context(), command)
		require.NoError(t, err)
		require.Equal(t, want, matched, command)
	}
	_, err := sshconfig.Shell(t.Context(), "kill -9 $$")
	require.Error(t, err, "a shell that dies is neither a yes nor a no")
	t.Setenv("SHELL", "/nonexistent")
	_, err = sshconfig.Shell(t.Context(), "true")
	require.Error(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = sshconfig.Shell(ctx, "true")
	require.ErrorIs(t, err, context.Canceled)
}

// TestUnknownInterfaces checks a machine with an error instead of interfaces.
func TestUnknownInterfaces(t *testing.T) {
	l := loader("Match localnetwork 0.0.0.0/0,::/0\nPort 7\n")
	l.Addresses = func() ([]netip.Addr, error) { return nil, errors.New("no interfaces") }
	config, err := l.Load(t.Context(), "host")
	require.NoError(t, err)
	require.Equal(t, 22, config.Port)
	l.Addresses = nil
	config, err = l.Load(t.Context(), "host")
	require.NoError(t, err)
	require.Equal(t, 7, config.Port, "the machine of the test has an address at least")
}
