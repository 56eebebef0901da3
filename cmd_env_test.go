package nacre

import (
	"bytes"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestErrorsOfEnvNeverShowAValue(t *testing.T) {
	for _, env := range [][]string{
		{"OK=1", "s3cret"},
		{"=s3cret"},
		{""},
		{"A=s3cret\x00"},
		{"A\x00=s3cret"},
		{"s3cret\x00"},
	} {
		_, err := parseEnv(env)
		require.ErrorContains(t, err, "nacre: Cmd.Env[")
		require.NotContains(t, err.Error(), "s3cret")
	}
	_, err := withEnv([]variable{{name: "A", value: "s3cret"}, {name: "a-b", value: "s3cret"}}, "true")
	require.ErrorContains(t, err, `"a-b"`)
	require.NotContains(t, err.Error(), "s3cret")
}

func TestEnvIsTakenApart(t *testing.T) {
	got, err := parseEnv([]string{"A=1", "B=", "C==x=y", "d.e-f=\n"})
	require.NoError(t, err)
	require.Equal(t, []variable{{name: "A", value: "1"}, {name: "B"}, {name: "C", value: "=x=y"}, {name: "d.e-f", value: "\n"}}, got)
}

func TestNamesThatAShellCanSet(t *testing.T) {
	for name, want := range map[string]bool{
		"A": true, "_": true, "a_1": true, "PATH": true,
		"1A": false, "A-B": false, "A.B": false, "A B": false, "A;id": false, "A$(id)": false, "é": false, "A\n": false, "-u": false,
	} {
		require.Equal(t, want, shellName(name), name)
	}
}

// words returns arguments for a shell: every byte, the words special to shells,
// and random bytes.
func words() []string {
	list := []string{
		"", " ", "'", "''", "'\\''", `\`, `\'`, `"`, "$HOME", "${HOME}", "$(id)", "`id`", "a;id", "a&&b", "*", "?", "[a]", "~", "~root",
		"a=~b", "!", "!!", "#x", "-n", "--", "-", "\n", "a\nb\n", "\t", "\r\n", "|", "<", ">", "{a,b}", "%s", "%%", "=ls", "é", "\xff\xfe",
		"/usr/bin:x@y,z+1", strings.Repeat("'", 200), strings.Repeat("x y", 10000),
	}
	for b := 1; b < 256; b++ {
		list = append(list, string([]byte{byte(b)}), string([]byte{'a', byte(b), 'b'}))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		word := make([]byte, r.IntN(30))
		for i := range word {
			word[i] = byte(1 + r.IntN(255))
			if r.IntN(2) == 0 {
				word[i] = "'\"\\$`; \n-=~*!#"[r.IntN(14)]
			}
		}
		list = append(list, string(word))
	}
	return list
}

func TestAShellReadsBackWhatWasQuoted(t *testing.T) {
	list := words()
	script := "printf '%s\\0'"
	for _, w := range list {
		script += " " + shellQuote(w)
	}
	cmd := exec.Command("sh")
	cmd.Stdin = strings.NewReader(script) // too long for an argument
	out, err := cmd.Output()
	require.NoError(t, err)
	require.Equal(t, list, strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"))
}

func TestCommandLineWithVariables(t *testing.T) {
	for i, value := range words() {
		if i > 40 && i%20 != 0 {
			continue // TestAShellReadsBackWhatWasQuoted has all words
		}
		command := `printf %s "$A" && echo " $B|$(cd / && pwd)" || exit 9`
		line, err := withEnv([]variable{{name: "A", value: value}, {name: "B", value: "it's"}}, command)
		require.NoError(t, err)
		out, err := exec.Command("sh", "-c", line).Output()
		require.NoError(t, err, "%q", value)
		require.True(t, bytes.Equal([]byte(value+" it's|/\n"), out), "%q gave %q", value, out)
	}
}
