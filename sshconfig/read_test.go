package sshconfig_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// TestBounds checks the bounds of lines, files and bytes.
func TestBounds(t *testing.T) {
	require.ErrorContains(t, refuse(t, "User "+strings.Repeat("x", 1<<16), "host"), "the line is too long")
	require.ErrorContains(t, refuse(t, "SendEnv "+strings.Repeat("x ", 5000), "host"), "too many arguments")
	require.ErrorContains(t, refuse(t, strings.Repeat("IdentityFile /a\nCertificateFile /a\n", 200)+manyFiles(101), "host"), "too many files")

	big := strings.Repeat(strings.Repeat("#", 1<<10)+"\n", 9<<10)
	l := &sshconfig.Loader{Local: bob, Files: []sshconfig.File{{Name: "/a"}, {Name: "/b"}}, FS: tree("a", big, "b", big)}
	_, err := l.Load(t.Context(), "host")
	require.ErrorContains(t, err, "too many bytes")

	// Two Includes of itself: without a bound, a file is read 2^16 times.
	l = &sshconfig.Loader{Local: bob, Files: []sshconfig.File{{Name: "/a"}}, FS: tree("a", "Include /b\nInclude /b\n", "b", "Include /c /c\n",
		"c", strings.Repeat("Include /d/*\n", 100), "d/1", "Port 1\n", "d/2", "Port 2\n", "d/3", strings.Repeat("Include /e\n", 100), "e", "Port 3\n")}
	_, err = l.Load(t.Context(), "host")
	require.ErrorContains(t, err, "too many files")
}

// TestLongTokens checks the bound of a text with variables.
func TestLongTokens(t *testing.T) {
	l := loader("ControlPath " + strings.Repeat("${BIG}", 100) + "\n")
	l.Getenv = func(string) (string, bool) { return strings.Repeat("x", 1<<10), true }
	_, err := l.Load(t.Context(), "host")
	require.ErrorContains(t, err, "too long")
}

// TestUnknownKeyword checks IgnoreUnknown, and the lines without effect.
func TestUnknownKeyword(t *testing.T) {
	config := load(t, "IgnoreUnknown Foo*,Bar\nFooBaz 1 2\nbar x\nUseKeychain yes\nCipher x\nHost other\nFoo x\nProtocol 2\n", "host")
	var ignored []string
	for _, s := range config.Ignored {
		ignored = append(ignored, fmt.Sprint(s.Keyword, " ", s.Value, " ", s.Line))
	}
	require.Equal(t, []string{"foobaz 1 2 2", "bar x 3", "usekeychain yes 4", "cipher x 5"}, ignored)
	require.ErrorContains(t, refuse(t, "IgnoreUnknown Foo\nBar x\n", "host"), "the keyword is unknown")
	require.ErrorContains(t, refuse(t, "Host other\nBar x\n", "host"), "the keyword is unknown", "in a block that does not match")
}

// TestDirectory reads a directory: an empty file, as for OpenSSH on Linux.
func TestDirectory(t *testing.T) {
	l := &sshconfig.Loader{Local: bob, Files: []sshconfig.File{{Name: "/d"}}, FS: tree("d/x", "Port 7\n")}
	config, err := l.Load(t.Context(), "host")
	require.NoError(t, err)
	require.Equal(t, 22, config.Port)
}
