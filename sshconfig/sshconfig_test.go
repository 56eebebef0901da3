package sshconfig_test

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// tree returns a file system for Loader.FS from names and contents.
func tree(files ...string) fstest.MapFS {
	t := make(fstest.MapFS)
	for i := 0; i < len(files); i += 2 {
		t[files[i]] = &fstest.MapFile{Data: []byte(files[i+1]), Mode: 0o600}
	}
	return t
}

// TestUserBeforeSystem checks the order of options, the user's file and the system's file.
func TestUserBeforeSystem(t *testing.T) {
	l := &sshconfig.Loader{Local: bob, Options: []string{"ServerAliveInterval=1m"}, FS: tree(
		"home/bob/.ssh/config", "Port 1\nServerAliveInterval 2\nIdentityFile ~/a\nInclude extra\n",
		"home/bob/.ssh/extra", "User extra\nIdentityFile ~/b\n",
		"etc/ssh/ssh_config", "Port 2\nBatchMode yes\nIdentityFile ~/a\nInclude ssh_config.d/*.conf\n",
		"etc/ssh/ssh_config.d/50.conf", "Match final all\nTCPKeepAlive no\n",
	)}
	config, err := l.Load(t.Context(), "host")
	require.NoError(t, err)
	require.Equal(t, 1, config.Port)
	require.Equal(t, "extra", config.User)
	require.True(t, config.BatchMode)
	require.False(t, config.TCPKeepAlive)
	require.Equal(t, "1m0s", config.ServerAliveInterval.String())
	require.Equal(t, []string{"~/a", "~/b", "~/a"}, config.IdentityFile, "OpenSSH keeps a file of the user and of the system")
	require.Equal(t, "identityfile ~/b (/home/bob/.ssh/extra line 2)", config.Explain("IdentityFile")[1].String())
}

// TestFiles checks missing files, and files with too many writers.
func TestFiles(t *testing.T) {
	l := &sshconfig.Loader{Local: bob, FS: tree()}
	config, err := l.Load(t.Context(), "host")
	require.NoError(t, err, "both standard files are optional")
	require.Equal(t, "host", config.HostName)
	require.Equal(t, "bob", config.User)

	l.Files = []sshconfig.File{{Name: "/missing"}}
	_, err = l.Load(t.Context(), "host")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "sshconfig: file \"/missing\"")

	open := tree("home/bob/.ssh/config", "Port 1")
	open["home/bob/.ssh/config"].Mode = 0o602
	l = &sshconfig.Loader{Local: bob, FS: open}
	_, err = l.Load(t.Context(), "host")
	require.ErrorContains(t, err, "others may write")
	l.Files = []sshconfig.File{{Name: "~/.ssh/config"}}
	_, err = l.Load(t.Context(), "host")
	require.NoError(t, err, "a file given by name, as with ssh -F, may have any mode")
}

// TestSystemFile checks ~ in a system file.
func TestSystemFile(t *testing.T) {
	l := &sshconfig.Loader{Local: bob, FS: tree("etc/ssh/ssh_config", "\nInclude ~/x\n")}
	_, err := l.Load(t.Context(), "host")
	require.EqualError(t, err, `sshconfig: /etc/ssh/ssh_config line 2: Include: path "~/x" of a system file begins with ~`)
}

// TestDestination checks the forms of a destination.
func TestDestination(t *testing.T) {
	for destination, want := range map[string][3]any{
		"host": {"host", "file", 7}, "eve@host": {"host", "eve", 7}, "a@b@host": {"host", "a@b", 7},
		"ssh://host": {"host", "file", 7}, "ssh://eve@host:99": {"host", "eve", 99}, "ssh://a%20b@host/": {"host", "a b", 7},
	} {
		config := load(t, "Port 7\nUser file\n", destination)
		require.Equal(t, want, [3]any{config.Host, config.User, config.Port}, destination)
	}
	l := loader("")
	l.Options = []string{"User=option", "Port=8"}
	config, err := l.Load(t.Context(), "ssh://eve@host:99")
	require.NoError(t, err)
	require.Equal(t, [2]any{"option", 8}, [2]any{config.User, config.Port}, "an option wins over the destination")
}

// TestHostileDestination gives destinations with a meaning for a shell. None reaches a command of a file.
func TestHostileDestination(t *testing.T) {
	for _, destination := range []string{
		"", "@host", "user@", "-oProxyCommand=x", "-u@host", "a;b", "a b", "`id`", "$(id)", "a|b", "a>b", "a\nb", "a'b", `a"b`, "a&b", "{a,b}",
		"us;er@host", "u`x`@host", "u -l@host", `u\@host`, "ssh://", "ssh://h:0", "ssh://h/path", "ssh://[::1]", "ssh://@h", "ssh://%@h", "a,b", `a\b`,
	} {
		ran := false
		l := loader("Match exec \"x %h %n %r\"\nPort 7\n")
		l.Exec = func(context.Context, string) (bool, error) {
			ran = true
			return true, nil
		}
		_, err := l.Load(t.Context(), destination)
		require.Error(t, err, destination)
		require.False(t, ran, destination)
	}
}

// TestOptions checks the lines for files only, and the name of the command line in errors.
func TestOptions(t *testing.T) {
	for _, option := range []string{"Host x", "Match all", "Include /x", "Port", "Bogus 1", "Port 1 2", "ProxyJump a;b", `User "x`} {
		l := loader("")
		l.Options = []string{option}
		_, err := l.Load(t.Context(), "host")
		var place *sshconfig.Error
		require.ErrorAs(t, err, &place, option)
		require.Equal(t, "command-line", place.File)
		require.Zero(t, place.Line)
	}
}

// TestEndedContext checks a context that has ended.
func TestEndedContext(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := loader("Port 1").Load(ctx, "host")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
}
