package sshconfig_test

import (
	"crypto/sha1"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

const everyToken = "%C %d %h %i %j %k %L %l %n %p %r %u %%"

// tokensOf is everyToken for eve at host web.example, with the alias web and port 7.
func tokensOf(key string) string {
	hash := sha1.Sum([]byte("desk.example.com" + "web.example" + "7" + "eve" + "jump"))
	return fmt.Sprintf("%x /home/bob web.example 1000 jump %s desk desk.example.com web 7 eve bob %%", hash, key)
}

// TestTokens checks the tokens of every keyword with tokens.
func TestTokens(t *testing.T) {
	const base = "HostName %h.example\nPort 7\nUser eve\nProxyJump x,jump\n"
	for _, keyword := range []string{"CertificateFile", "ControlPath", "IdentityAgent", "IdentityFile", "RemoteCommand", "RevokedHostKeys", "UserKnownHostsFile",
		"VersionAddendum", "LocalCommand", "ForwardAgent"} {
		quoted := `"` + everyToken + `"`
		if keyword == "RemoteCommand" || keyword == "LocalCommand" || keyword == "VersionAddendum" {
			quoted = everyToken
		}
		config := load(t, base+keyword+" "+quoted+"\n", "web")
		values, err := config.Expand(keyword, nil)
		require.NoError(t, err)
		require.Equal(t, []string{tokensOf("web")}, values, keyword)
	}
	config := load(t, base+"HostKeyAlias Key\nLocalForward /a%r /b%h\nRemoteForward 1 /%k\nSetEnv A=\"%n ${SSHCONFIG_WORD}\"\n"+
		"UserKnownHostsFile /%h ~/${SSHCONFIG_WORD}\nControlPath ~/%k\n", "web")
	require.Equal(t, "/aeve /bweb.example", config.LocalForward[0].String())
	require.Equal(t, "1 /key", config.RemoteForward[0].String(), "the alias is in lower case")
	require.Equal(t, []string{"A=web word"}, config.SetEnv)
	require.Equal(t, []string{"/web.example", "/home/bob/word"}, config.UserKnownHostsFile)
	require.Equal(t, "/home/bob/key", config.ControlPath)
}

// TestRuntimeTokens checks the tokens from a connection.
func TestRuntimeTokens(t *testing.T) {
	config := load(t, "KnownHostsCommand /bin/cmd \"%H a\" %I %t %f %K %h ${SSHCONFIG_WORD}\nLocalCommand echo %T %h ${X}\nProxyCommand nc %h %p %n %r %k %% ${X}\n", "web")
	values, err := config.Expand("knownhostscommand", map[byte]string{'H': "[h]:1", 'I': "ORDER", 't': "NONE", 'f': "NONE", 'K': "NONE"})
	require.NoError(t, err)
	require.Equal(t, []string{"/bin/cmd", "[h]:1 a", "ORDER", "NONE", "NONE", "NONE", "web", "word"}, values)
	_, err = config.Expand("KnownHostsCommand", map[byte]string{'T': "x"})
	require.ErrorContains(t, err, "KnownHostsCommand: token %H is not known here")

	values, err = config.Expand("LocalCommand", map[byte]string{'T': "tun0"})
	require.NoError(t, err)
	require.Equal(t, []string{"echo tun0 web ${X}"}, values)
	values, err = config.Expand("ProxyCommand", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"nc web 22 web bob web % ${X}"}, values)
	config.ProxyCommand = "nc %C"
	_, err = config.Expand("ProxyCommand", nil)
	require.ErrorContains(t, err, "token %C is not known here")
	_, err = config.Expand("Match", nil)
	require.ErrorContains(t, err, `keyword "Match" has no value`)
}

// TestVariables checks values with the name of a variable.
func TestVariables(t *testing.T) {
	for text, want := range map[string][]string{
		"IdentityAgent $SSHCONFIG_PATH": {"/run/x"}, "IdentityAgent ${SSHCONFIG_PATH}/y": {"/run/x/y"}, "IdentityAgent none": nil, "IdentityAgent $NOT_SET": nil,
		"IdentityAgent SSH_AUTH_SOCK": nil, "IdentityAgent ~/s": {"/home/bob/s"}, "": nil,
	} {
		values, err := load(t, text, "host").Expand("IdentityAgent", nil)
		require.NoError(t, err)
		require.Equal(t, want, values, text)
	}
	values, err := load(t, "SecurityKeyProvider $SSHCONFIG_PATH", "host").Expand("SecurityKeyProvider", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"/run/x"}, values)
	config := load(t, "IdentityFile none\nIdentityFile ~/a\nIdentityFile ~nobody-here/x\n", "host")
	_, err = config.Expand("IdentityFile", nil)
	require.ErrorContains(t, err, `home directory of "nobody-here"`)
	config.IdentityFile = config.IdentityFile[:2]
	values, err = config.Expand("IdentityFile", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"/home/bob/a"}, values)
}

// TestGuards checks the limits of tokens.
func TestGuards(t *testing.T) {
	for text, want := range map[string]string{
		"User %r": "token %r is not known here", "User %C": "token %C is not known here", "User ${SHELLISH}": "characters with a meaning in a shell",
		"User ${NOT_SET}": "is not set", "ControlPath ${NOT_SET}": "is not set", "ControlPath %": "a lone %", "ControlPath ${X": "no closing brace",
		"UserKnownHostsFile ${}": "no name", "HostName %n": "token %n is not known here", "RevokedHostKeys ~nobody-here/x": "home directory", "SetEnv A=%z": "token %z",
		"LocalForward /%z /b": "token %z", "RemoteCommand %": "a lone %", "IdentityAgent ${NOT_SET}": "is not set", "IdentityAgent $a-b": "is not the name of a variable",
	} {
		l := loader("\n" + text)
		l.Getenv = func(name string) (string, bool) { return "a;b", name == "SHELLISH" }
		_, err := l.Load(t.Context(), "host")
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, "config line 2", text)
	}
	config := load(t, "User a;b$(c)", "host")
	require.Equal(t, "a;b$(c)", config.User, "a literal user of a file is the user's own business, as for OpenSSH")
	require.Equal(t, "bobx", load(t, "User %ux", "host").User)
	require.Equal(t, "%u", load(t, "", "%u@host").User, "a user of the destination has no tokens")
}
