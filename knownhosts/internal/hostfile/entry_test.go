package hostfile_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hosttest"
)

const someHash = "|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA="

// places returns the places of lines.
func places(lines []hostfile.Line) (all []string) {
	for _, l := range lines {
		all = append(all, hostfile.Position(l.File, l.Number))
	}
	return all
}

func TestEntriesAreAppended(t *testing.T) {
	host, other := text(key("host")), text(key("other"))
	for _, test := range []struct {
		name, before string
		names        string
		added        string
		places       string
	}{
		{"empty file", "", "host", "host " + host + "\n", "f:1"},
		{"several names", "# mine\n", "host 192.0.2.1", "host,192.0.2.1 " + host + "\n", "f:2 f:2"},
		{"no final newline", "last " + other, "host", "\nhost " + host + "\n", "f:2"},
		{"known by another writer", "x " + other + "\nhost " + host + "\n", "host", "", "f:2"},
		{"one of two is known", "host " + host + "\n", "host 192.0.2.1", "192.0.2.1 " + host + "\n", "f:1 f:2"},
		{"known by a pattern", "*.example " + host + "\n", "a.example", "", "f:1"},
		{"authority is no record", "@cert-authority * " + host + "\n", "host", "host " + host + "\n", "f:2"},
		{"comment is no record", "#host " + other + "\n", "host", "host " + host + "\n", "f:2"},
		{"bad line is no record", "host ssh-ed25519 AAAA\n", "host", "host " + host + "\n", "f:2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := hostfile.Entry{Key: key("host"), Names: strings.Fields(test.names)}
			edited, lines, err := e.Append([]byte(test.before), "f")
			require.NoError(t, err)
			require.Equal(t, test.before+test.added, string(edited))
			require.Equal(t, test.places, strings.Join(places(lines), " "))
			for i, l := range lines {
				require.True(t, l.Names.Match(e.Names[i]))
				require.Equal(t, key("host"), l.Key)
			}
		})
	}
}

func TestNewNamesAreHashedWhereOthersAre(t *testing.T) {
	before := "# mine\n" + someHash + " " + text(key("other")) + "\n"
	e := hostfile.Entry{Key: key("host"), Names: []string{"[host]:2222", "192.0.2.1"}}
	edited, lines, err := e.Append([]byte(before), "f")
	require.NoError(t, err)
	require.NotContains(t, string(edited), "[host]:2222")
	require.Equal(t, []string{"f:3", "f:4"}, places(lines))
	require.Equal(t, []int{3}, find(t, "[host]:2222", write(t, string(edited))))
	require.Equal(t, []int{4}, find(t, "192.0.2.1", write(t, string(edited))))
}

func TestConflictsAreNotRecorded(t *testing.T) {
	host, other := text(key("host")), text(key("other"))
	for _, test := range []struct {
		name, before string
		revoked      bool
		want         string
	}{
		{"another key", "x " + host + "\nhost " + other + "\n", false, `another key is on record for "host" at f:2`},
		{"another key by a pattern", "h* " + other + "\n", false, `another key is on record for "host" at f:1`},
		{"revoked", "# x\n@revoked elsewhere " + host + "\n", true, "key is revoked by f:2"},
		{"known and revoked", "host " + host + "\n@revoked |1|malformed " + host + "\n", true, "key is revoked by f:2"},
		{"revoked within a certificate", "@revoked * " + text(hosttest.Certificate(signer("ca"), nil)), true, "key is revoked by f:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := hostfile.Entry{Key: key("host"), Names: []string{"host"}}
			_, _, err := e.Append([]byte(test.before), "f")
			var conflict *hostfile.ConflictError
			require.ErrorAs(t, err, &conflict)
			require.Equal(t, test.revoked, conflict.Revoked)
			require.Equal(t, "host", conflict.Name)
			require.EqualError(t, err, test.want)
			e.Beside = true
			_, _, err = e.Append([]byte(test.before), "f")
			require.Equal(t, test.revoked, err != nil)
		})
	}
}

func TestEntriesThatWouldReadBackAsSomethingElse(t *testing.T) {
	require.NoError(t, (&hostfile.Entry{Key: key("host"), Names: []string{"host", "[host]:22"}}).Check())
	err := (&hostfile.Entry{Key: key("host"), Names: []string{"host", "a,b"}}).Check()
	require.EqualError(t, err, `host name "a,b" cannot be written to known_hosts`)
	err = (&hostfile.Entry{Key: hosttest.Certificate(signer("ca"), nil), Names: []string{"host"}}).Check()
	require.EqualError(t, err, `key type "`+ssh.CertAlgoED25519v01+`" cannot be written to known_hosts`)
}

func TestEntriesInNoFileHaveLines(t *testing.T) {
	lines := (&hostfile.Entry{Key: key("host"), Names: []string{"a", "b"}}).Lines()
	require.Len(t, lines, 2)
	require.True(t, lines[1].Names.Match("b"))
	require.Equal(t, []string{"(in memory)", "(in memory)"}, places(lines))
}
