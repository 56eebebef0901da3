package knownhosts_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
)

func TestTextRevocationsAreJudgedAsBySSH(t *testing.T) {
	cert := certificate(signer("ca"), nil)
	certified, err := ssh.NewCertSigner(cert, signer("host"))
	require.NoError(t, err)
	known := "host.example " + text(key("host")) + "\n@cert-authority * " + text(key("ca")) + "\n"
	for name, test := range map[string]struct {
		list string
		key  ssh.Signer
		bad  bool // the list itself
	}{
		"empty":                      {"", signer("host"), false},
		"comments":                   {"# none\n\n  \t\n", signer("host"), false},
		"another key":                {text(key("other")) + "\n", signer("host"), false},
		"the key":                    {"# x\n" + text(key("other")) + "\n\t" + text(key("host")) + " comment\n", signer("host"), false},
		"the key in a certificate":   {text(key("host")) + "\n", certified, false},
		"the authority":              {text(key("ca")) + "\n", certified, false},
		"the certificate":            {text(cert), signer("host"), false},
		"no key":                     {"nonsense\n" + text(key("other")) + "\n", signer("host"), true},
		"half a key":                 {text(key("other"))[:60] + "\n", signer("host"), true},
		"a name before the key":      {"host " + text(key("other")) + "\n", signer("host"), true},
		"half a KRL":                 {"SSHKRL\n\x00\x00\x00", signer("host"), true},
		"a KRL of another version":   {"SSHKRL\n\x00\x00\x00\x00\x02", signer("host"), true},
		"what is almost a KRL":       {"SSHKRL\n\x01\x00\x00\x00\x02", signer("host"), true},
		"the key behind a bad line":  {"nonsense\n" + text(key("host")) + "\n", signer("host"), true},
		"the key before a bad line ": {text(key("host")) + "\nnonsense\n", signer("host"), true},
	} {
		t.Run(name, func(t *testing.T) {
			list, file := write(t, test.list), write(t, known)
			r, err := knownhosts.LoadRevocations(list)
			require.Equal(t, test.bad, err != nil, "%v", err)
			accepted := false
			if err == nil {
				p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, file), r}}
				accepted = p.VerifyHostKey(t.Context(), "host.example:22", nil, test.key.PublicKey()) == nil
			} else {
				require.ErrorContains(t, err, list)
			}
			theirs, says := sshJudges(t, file, "host.example", "22", test.key, "RevokedHostKeys="+list)
			require.Equal(t, theirs, accepted, says)
		})
	}
}

func TestUnreadableRevocationsAreAnError(t *testing.T) {
	dir := t.TempDir()
	accepts, _ := sshJudges(t, write(t, "host.example "+text(key("host"))+"\n"), "host.example", "22", signer("host"),
		"RevokedHostKeys="+filepath.Join(dir, "missing"))
	require.False(t, accepts)
	for _, name := range []string{filepath.Join(dir, "missing"), dir, ""} {
		_, err := knownhosts.LoadRevocations(name)
		require.ErrorContains(t, err, "knownhosts: revocation list: ", name)
	}
}
