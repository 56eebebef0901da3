package sshconfig_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// TestInclude checks the files of an Include, and their order.
func TestInclude(t *testing.T) {
	files := tree("home/bob/.ssh/b", "SendEnv b\n", "home/bob/.ssh/a", "SendEnv a\n", "home/bob/.ssh/.h", "SendEnv .h\n", "etc/x/1.conf", "SendEnv 1\n",
		"etc/x/2.conf", "SendEnv 2\n", "home/bob/word", "SendEnv word\n", "home/bob/.ssh/web-1", "SendEnv web\n", "home/bob/.ssh/[z", "SendEnv bracket\n")
	for include, want := range map[string][]string{
		"?": {"a", "b"}, "b a": {"b", "a"}, ".?": {".h"}, "[!a]": {"b"}, "[ab]": {"a", "b"}, "/etc/x/*.conf": {"1", "2"}, "~/${SSHCONFIG_WORD}": {"word"},
		"%h": {"web"}, "missing*": nil, "${NOT_SET}/x a": {"a"}, "*": {"bracket", "a", "b", "web"}, "[z": {"bracket"}, "/etc/*/2.conf": {"2"},
		"~bob-is-not-here/x": nil,
	} {
		l := &sshconfig.Loader{Local: bob, FS: files, Getenv: getenv, Files: []sshconfig.File{{Name: "config", Data: []byte("Include " + include)}}}
		config, err := l.Load(t.Context(), "web-1")
		require.NoError(t, err, include)
		require.Equal(t, want, config.SendEnv, include)
	}
}

// TestIncludeDepth checks the depth of Includes within Includes.
func TestIncludeDepth(t *testing.T) {
	for depth, ok := range map[int]bool{16: true, 17: false} {
		files := tree()
		for i := range depth {
			files[fmt.Sprint(i)] = tree("x", fmt.Sprintf("Include /%d\n", i+1))["x"]
		}
		files[fmt.Sprint(depth)] = tree("x", "Port 7\n")["x"]
		l := &sshconfig.Loader{Local: bob, FS: files, Files: []sshconfig.File{{Name: "/0"}}}
		_, err := l.Load(t.Context(), "host")
		require.Equal(t, ok, err == nil, "%d: %v", depth, err)
	}
}

// TestIncludeInBlock checks the end of a block in an included file. An Include in a block without a match is
// checked, and has no effect.
func TestIncludeInBlock(t *testing.T) {
	l := &sshconfig.Loader{Local: bob, FS: tree("a", "Port 1\nHost other\nUser a\n", "b", "Host *\nPort 2\nMatch all\nPort 3\nMatch exec x\nPort 4", "bad", "Port x\n")}
	for text, want := range map[string]string{
		"Include /a\nUser c\n": "c 1", "Host x\nInclude /b\nHost *\nUser d": "d 22", "Match host x\nInclude /a\nInclude /b": "bob 22",
	} {
		l.Files = []sshconfig.File{{Name: "config", Data: []byte(text)}}
		config, err := l.Load(t.Context(), "host")
		require.NoError(t, err, text)
		require.Equal(t, want, fmt.Sprint(config.User, " ", config.Port), text)
	}
	l.Files = []sshconfig.File{{Name: "config", Data: []byte("Host x\nInclude /bad\n")}}
	_, err := l.Load(t.Context(), "host")
	require.EqualError(t, err, `sshconfig: /bad line 1: Port: "x" is not a port`)
}
