package hostfile_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// update returns an Update for "host", known by the key "host" and announcing the
// keys "host" and "new".
func update(address string) *hostfile.Update {
	return &hostfile.Update{
		File: "f", Name: "host", Address: address, Key: key("host"), Announced: []ssh.PublicKey{key("host"), key("new")},
	}
}

func TestUpdates(t *testing.T) {
	host, stale, fresh, other := text(key("host")), text(key("stale")), text(key("new")), text(key("other"))
	for _, test := range []struct{ name, address, before, after string }{
		{"new key", "", "host " + host + "\n", "host " + host + "\nhost " + fresh + "\n"},
		{"stale key", "", "host " + stale + " comment\nhost " + host + " comment\n", "host " + host + " comment\nhost " + fresh + "\n"},
		{"only stale", "", "host " + host + "\nhost " + fresh + "\nhost " + stale + "\n", "host " + host + "\nhost " + fresh + "\n"},
		{"all is well", "", "host " + host + "\nhost " + fresh + "\n", ""},
		{"known by another source", "", "other " + other + "\n", ""},
		{"other lines stay", "", "# mine\r\n\nbad\nother " + other + "\r\nhost " + host, "# mine\r\n\nbad\nother " + other + "\r\nhost " + host + "\nhost " + fresh + "\n"},
		{"both names on each line", "192.0.2.1", "host,192.0.2.1 " + host + "\nhost,192.0.2.1 " + stale + "\n",
			"host,192.0.2.1 " + host + "\nhost,192.0.2.1 " + fresh + "\n"},
		{"lines of their own", "192.0.2.1", "host " + host + "\n192.0.2.1 " + host + "\n192.0.2.1 " + stale + "\n",
			"host " + host + "\n192.0.2.1 " + host + "\nhost,192.0.2.1 " + fresh + "\n"},
		{"a missing address is added", "192.0.2.1", "host " + host + "\n", "host " + host + "\n192.0.2.1 " + host + "\nhost,192.0.2.1 " + fresh + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := update(test.address)
			plan, err := u.Plan([]byte(test.before))
			require.NoError(t, err)
			require.Equal(t, test.after == "", plan.Empty())
			if !plan.Empty() {
				require.Equal(t, test.after, string(u.Apply([]byte(test.before), plan)))
			}
		})
	}
}

func TestUpdatesThatAHostDoesNotDecideAlone(t *testing.T) {
	host, stale, fresh, other := text(key("host")), text(key("stale")), text(key("new")), text(key("other"))
	for _, test := range []struct{ name, address, before, want string }{
		{"pattern", "", "host " + host + "\nh* " + stale + "\n", "line f:2 about the host has a marker, a pattern or many names"},
		{"many names", "", "host,b,c " + host + "\n", "line f:1 about the host has a marker"},
		{"authority", "", "host " + host + "\n@cert-authority * " + other + "\n", "line f:2 about the host has a marker"},
		{"revocation", "", "host " + host + "\n@revoked host " + other + "\n", "line f:2 about the host has a marker"},
		{"another name for the address", "192.0.2.1", "host " + host + "\nother,192.0.2.1 " + stale + "\n", "line f:2 about the host has another name"},
		{"another address for the name", "192.0.2.1", "host,192.0.2.2 " + host + "\n", "line f:1 about the host has another name"},
		{"announced key elsewhere", "", "host " + host + "\nother " + fresh + "\n", "line f:2 has the key ssh-ed25519 SHA256:"},
		{"stale key elsewhere", "", "host " + host + "\nhost " + stale + "\nother " + stale + "\n", "line f:3 has the key ssh-ed25519 SHA256:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := update(test.address).Plan([]byte(test.before))
			require.ErrorContains(t, err, test.want)
		})
	}
	plan, err := update("").Plan([]byte("host " + host + "\n@revoked elsewhere " + other + "\n"))
	require.NoError(t, err)
	require.Len(t, plan.Added, 1)
	require.Equal(t, key("new"), plan.Added[0])
}

func TestUpdateHashesNames(t *testing.T) {
	u := update("")
	u.Hash = true
	before := "host " + text(key("host")) + "\n"
	plan, err := u.Plan([]byte(before))
	require.NoError(t, err)
	after := string(u.Apply([]byte(before), plan))
	require.NotContains(t, after[len(before):], "host")
	require.Equal(t, []int{1, 2}, find(t, "host", write(t, after)))
}
