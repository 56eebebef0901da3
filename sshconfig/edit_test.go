package sshconfig_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// TestSetHost compares whole files: a change touches the lines of the block and no other byte.
func TestSetHost(t *testing.T) {
	port := sshconfig.Option{Keyword: "Port", Value: "2222"}
	for _, test := range []struct {
		name, before, after string
		options             []sshconfig.Option
	}{
		{"empty file", "", "Host web-1\n    Port 2222\n", []sshconfig.Option{port}},
		{"value with a comment", "# top\nHost web-1 # the web\n\tPort = 22   # why\n\tUser bob\n\n# other\nHost *\n\tUser x\n",
			"# top\nHost web-1 # the web\n\tPort = 2222   # why\n\tUser bob\n\n# other\nHost *\n\tUser x\n", []sshconfig.Option{port}},
		{"new keyword", "Host web-1\n  User bob # b\n  # end\n\nHost *\nPort 1\n",
			"Host web-1\n  User bob # b\n  Port 2222\n  # end\n\nHost *\nPort 1\n", []sshconfig.Option{port}},
		{"new block before a pattern", "User x\n\n# for all\nHost *\n    Port 1\n",
			"User x\n\nHost web-1\n    Port 2222\n\n# for all\nHost *\n    Port 1\n", []sshconfig.Option{port}},
		{"new block before Match", "Host other\nPort 1\nMatch user bob\nPort 3\n",
			"Host other\nPort 1\n\nHost web-1\n    Port 2222\n\nMatch user bob\nPort 3\n", []sshconfig.Option{port}},
		{"new block at the end", "Host other\n  Port 1", "Host other\n  Port 1\n\nHost web-1\n    Port 2222\n", []sshconfig.Option{port}},
		{"several lines become one", "Host web-1\nIdentityFile /a\nPort 1\nIdentityFile /b\n", "Host web-1\nIdentityFile /c\nPort 1\n",
			[]sshconfig.Option{{Keyword: "identityfile", Value: "/c"}}},
		{"one line becomes several", "Host web-1\nIdentityFile /a # k\nPort 1\n", "Host web-1\nIdentityFile /c # k\nidentityfile /d\nPort 1\n",
			[]sshconfig.Option{{Keyword: "identityfile", Value: "/c"}, {Keyword: "identityfile", Value: "/d"}}},
		{"removal", "Host web-1\n  Port 1 # x\n  User bob\n", "Host web-1\n  User bob\n", []sshconfig.Option{{Keyword: "port"}}},
		{"command with a sign of a comment", "Host web-1\n  ProxyCommand nc a#b %h # not a comment\n", "Host web-1\n  ProxyCommand nc c %h\n",
			[]sshconfig.Option{{Keyword: "ProxyCommand", Value: "nc c %h"}}},
		{"quoted value with a sign of a comment", "Host \"web-1\"\n  IdentityFile \"/a#b\" # c\n", "Host \"web-1\"\n  IdentityFile /d\n",
			[]sshconfig.Option{{Keyword: "IdentityFile", Value: "/d"}}},
		{"quoted value", "Host web-1\n  User \"a b\" # c\n", "Host web-1\n  User \"c d\" # c\n", []sshconfig.Option{{Keyword: "User", Value: `"c d"`}}},
		{"carriage returns", "Host web-1\r\n  Port 1\r\n", "Host web-1\r\n  Port 2222\r\n  User bob\r\n",
			[]sshconfig.Option{port, {Keyword: "User", Value: "bob"}}},
		{"blocks that the library cannot parse", "Match user bob\n  Port 1\nHost web-1\n  Port 1\nMatch exec \"true\"\n",
			"Match user bob\n  Port 1\nHost web-1\n  Port 2222\nMatch exec \"true\"\n", []sshconfig.Option{port}},
		{"nothing to do", "Host web-1\n  Port 1\n", "Host web-1\n  Port 1\n", nil},
		{"alias of a keyword", "Host web-1\n  KeepAlive no\n", "Host web-1\n  KeepAlive yes\n", []sshconfig.Option{{Keyword: "TCPKeepAlive", Value: "yes"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			after, err := sshconfig.SetHost([]byte(test.before), "web-1", test.options...)
			require.NoError(t, err)
			require.Equal(t, test.after, string(after))
			again, err := sshconfig.SetHost(after, "web-1", test.options...)
			require.NoError(t, err)
			require.Equal(t, test.after, string(again), "a second time")
		})
	}
}

// TestSetHostTakesEffect loads the new value from files with all kinds of blocks.
func TestSetHostTakesEffect(t *testing.T) {
	for _, before := range []string{"", "Host *\nPort 1\n", "Host web-? !web-1\nPort 1\nHost w*\nPort 2\n", "Match host web-1\nPort 1\n", "Host web-1 web-2\nPort 3"} {
		after, err := sshconfig.SetHost([]byte(before), "web-1", sshconfig.Option{Keyword: "Port", Value: "2222"})
		require.NoError(t, err)
		config := load(t, string(after), "web-1")
		require.Equal(t, 2222, config.Port, "%s", after)
	}
}

// TestSetHostRefuses checks the mistakes in a host and in options.
func TestSetHostRefuses(t *testing.T) {
	for _, test := range []struct {
		host, want string
		option     sshconfig.Option
	}{
		{"web-*", `host "web-*" is not a name`, sshconfig.Option{Keyword: "Port", Value: "1"}},
		{"a b", `host "a b" is not a name`, sshconfig.Option{Keyword: "Port", Value: "1"}},
		{"", `host "" is not a name`, sshconfig.Option{}},
		{"web-1", `Port: "x" is not a port`, sshconfig.Option{Keyword: "Port", Value: "x"}},
		{"web-1", `keyword "Host" is not for a Host block`, sshconfig.Option{Keyword: "Host", Value: "x"}},
		{"web-1", `keyword "Bogus" is not for a Host block`, sshconfig.Option{Keyword: "Bogus", Value: "x"}},
		{"web-1", `User: the value has more than a line`, sshconfig.Option{Keyword: "User", Value: "x\nPort 1"}},
		{"web-1", `Port: the value begins with =`, sshconfig.Option{Keyword: "Port", Value: "=1"}},
		{"web-1", `Port: the value has a comment`, sshconfig.Option{Keyword: "Port", Value: "1 # c"}},
		{"web-1", `a quote has no end`, sshconfig.Option{Keyword: "User", Value: `"x`}},
	} {
		_, err := sshconfig.SetHost([]byte("Host web-1\n"), test.host, test.option)
		require.ErrorContains(t, err, test.want)
	}
}
