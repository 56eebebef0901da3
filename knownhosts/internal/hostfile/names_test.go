package hostfile_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// H9: ssh-keygen hashes names, and we recognize them.
func TestHashedNamesOfSSHKeygenAreRecognized(t *testing.T) {
	file := write(t, fmt.Sprintf("Host.Example,10.0.0.1 %[1]s\n[host.example]:2222 %[2]s\n::1 %[1]s c o m m e n t\n",
		text(key("host")), text(key("other"))))
	out, err := exec.Command("ssh-keygen", "-H", "-f", file).CombinedOutput()
	require.NoError(t, err, string(out))
	content := read(t, file)
	require.NotContains(t, content, "example")

	c := parse(content)
	require.Empty(t, c.Skipped)
	for name, want := range map[string]int{"host.example": 1, "10.0.0.1": 1, "[host.example]:2222": 1, "::1": 1, "example": 0, "host": 0} {
		require.Len(t, about(c, name), want, name)
	}
}

// H9: we hash names, and ssh-keygen recognizes them.
func TestSSHKeygenRecognizesHashedNames(t *testing.T) {
	names := []string{"host.example", "[host.example]:2222", "::1", "[::1]:2222", "fe80::1%eth0"}
	e := hostfile.Entry{Key: key("host"), Names: names, Hash: true}
	content, _, err := e.Append(nil, "f")
	require.NoError(t, err)
	require.NotContains(t, string(content), "host")
	for i, name := range names {
		require.Equal(t, []int{i + 1}, find(t, name, write(t, string(content))), name)
		require.Equal(t, []int{i + 1}, about(parse(string(content)), name), name)
	}
	again, _, err := e.Append(nil, "f")
	require.NoError(t, err)
	require.NotEqual(t, content, again, "every hash has a salt of its own")
}

func TestRecordableNames(t *testing.T) {
	for _, name := range []string{"host", "host.example", "[host]:2222", "::1", "[::1]:2222", "fe80::1%eth0", "hôst", strings.Repeat("h", 1018)} {
		require.True(t, hostfile.Recordable(name), "%q", name)
	}
	for _, name := range []string{
		"", "*", "h?st", "!host", "host,other", "@revoked", "#host", "|1|a|b", "a b", "a\tb", "a\nb", "a\rb", "a\x00b", "a\x7fb",
		"\ufeffhost", "a\u00a0b", "a\u2028b", `a"b`, `a\b`, "a'b", "[host", "[h*]:22", strings.Repeat("h", 1019),
	} {
		require.False(t, hostfile.Recordable(name), "%q", name)
	}
}
