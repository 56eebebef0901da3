package hostfile_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hosttest"
)

func TestTextListsRevokeKeys(t *testing.T) {
	cert := hosttest.Certificate(signer("ca"), nil)
	for name, test := range map[string]struct {
		list string
		key  ssh.PublicKey
		line int // 0: not revoked
	}{
		"empty":                    {"", key("host"), 0},
		"comments":                 {"# none\n\n  \t\n", key("host"), 0},
		"another key":              {text(key("other")) + "\n", key("host"), 0},
		"the key":                  {"# x\n" + text(key("other")) + "\n\t" + text(key("host")) + " comment\n", key("host"), 3},
		"the key in a certificate": {text(key("host")) + "\n", cert, 1},
		"the authority":            {"\n" + text(key("ca")) + "\n", cert, 2},
		"the certificate":          {text(cert), key("host"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := hostfile.ParseRevocationList("f", []byte(test.list))
			require.NoError(t, err)
			found, ok := r.Find(test.key)
			require.Equal(t, test.line > 0, ok)
			require.Equal(t, test.line, found.Line.Number)
			require.Empty(t, found.Reason)
		})
	}
}

func TestListsThatAreNotUnderstood(t *testing.T) {
	for name, test := range map[string]struct{ list, want string }{
		"no key":                    {"nonsense\n" + text(key("other")) + "\n", "f:1: "},
		"half a key":                {"# x\n" + text(key("other"))[:60] + "\n", "f:2: "},
		"a name before the key":     {"host " + text(key("other")) + "\n", "f:1: "},
		"half a KRL":                {"SSHKRL\n\x00\x00\x00", "revocation list f: list is truncated"},
		"a KRL of another version":  {"SSHKRL\n\x00\x00\x00\x00\x02", "revocation list f: format version 2 is not supported"},
		"text that is almost a KRL": {"SSHKRL\n\x01\x00\x00\x00\x02", "f:1: "},
	} {
		_, err := hostfile.ParseRevocationList("f", []byte(test.list))
		require.ErrorContains(t, err, test.want, name)
	}
}
