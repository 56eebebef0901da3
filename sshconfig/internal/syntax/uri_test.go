package syntax_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// TestParseURI checks ssh:// addresses.
func TestParseURI(t *testing.T) {
	for text, want := range map[string][3]any{"ssh://h": {"", "h", 0}, "ssh://u@h:1/": {"u", "h", 1}, "ssh://u;x=y@h.": {"u", "h", 0}, "ssh://a%20b+c@h": {"a b c", "h", 0}} {
		user, host, port, err := syntax.ParseURI(text)
		require.NoError(t, err, text)
		require.Equal(t, want, [3]any{user, host, port}, text)
	}
	for _, bad := range []string{"ssh://", "ssh://@h", "ssh://h:0", "ssh://h:x", "ssh://h/p", "ssh://h:1/p", "ssh://%00@h", "ssh://%g@h", "ssh://[::1]", "ssh://[h", "ssh://[h]x", "ssh://-h"} {
		_, _, _, err := syntax.ParseURI(bad)
		require.Error(t, err, bad)
		require.NotErrorIs(t, err, syntax.ErrNoURI)
	}
	_, _, _, err := syntax.ParseURI("host")
	require.ErrorIs(t, err, syntax.ErrNoURI)
}

// TestParseHop checks hosts with user and port.
func TestParseHop(t *testing.T) {
	for text, want := range map[string][3]any{"h": {"", "h", 0}, "a@b@h:1": {"a@b", "h", 1}, "[::1]:2": {"", "::1", 2}, "h:": {"", "h", 0}, "ssh://u@h": {"u", "h", 0}} {
		user, host, port, err := syntax.ParseHop(text)
		require.NoError(t, err, text)
		require.Equal(t, want, [3]any{user, host, port}, text)
	}
	for _, bad := range []string{"", "@h", "u@", "h:0", "h:x", "h/1", ":1", "[::1", "[h]1", "::1"} {
		_, _, _, err := syntax.ParseHop(bad)
		require.Error(t, err, bad)
	}
}

// TestValid checks the characters of hosts and users that may become part of a command.
func TestValid(t *testing.T) {
	for _, host := range []string{"a", "A.b-c_1", "::1", "fe80::1%eth0", "é", "a@b", "*"} {
		require.True(t, syntax.ValidHost(host), host)
	}
	for _, host := range []string{"-a", "a b", "a;b", "a'b", "a\x00", "a\x7f", "a,b", "{a}", `a\b`, "$a"} {
		require.False(t, syntax.ValidHost(host), host)
	}
	for _, user := range []string{"a", "a b", `dom\user`, "a$b", "a,b"} {
		require.True(t, syntax.ValidUser(user), user)
	}
	for _, user := range []string{"-a", "a -b", `a\`, "a;b", "a|b", "a\tb", "a(b)"} {
		require.False(t, syntax.ValidUser(user), user)
	}
}
