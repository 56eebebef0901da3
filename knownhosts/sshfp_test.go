package knownhosts_test

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// zone is a DNS of a single host.
type zone struct {
	records   []knownhosts.SSHFP
	authentic bool
	err       error
	asked     []string
}

func (z *zone) LookupSSHFP(_ context.Context, host string) ([]knownhosts.SSHFP, bool, error) {
	z.asked = append(z.asked, host)
	return z.records, z.authentic, z.err
}

// published returns the records of ssh-keygen for a key.
func published(t *testing.T, k ssh.PublicKey) (records []knownhosts.SSHFP) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.pub")
	require.NoError(t, os.WriteFile(file, ssh.MarshalAuthorizedKey(k), 0o600))
	out, err := exec.Command("ssh-keygen", "-r", "host.example", "-f", file).CombinedOutput()
	require.NoError(t, err, string(out))
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line) // host.example IN SSHFP 4 2 …
		require.Len(t, fields, 6)
		algorithm, err := strconv.ParseUint(fields[3], 10, 8)
		require.NoError(t, err)
		kind, err := strconv.ParseUint(fields[4], 10, 8)
		require.NoError(t, err)
		sum, err := hex.DecodeString(fields[5])
		require.NoError(t, err)
		records = append(records, knownhosts.SSHFP{Algorithm: uint8(algorithm), Type: uint8(kind), Fingerprint: sum})
	}
	return records
}

func TestPublishedKeysAreKnown(t *testing.T) {
	for _, k := range []ssh.PublicKey{key("host"), rsaSigner().PublicKey(), ecdsaSigner().PublicKey()} {
		z := &zone{records: published(t, k), authentic: true}
		require.Len(t, z.records, 2)
		d := &knownhosts.DNS{Resolver: z}
		require.NoError(t, d.VerifyHostKey(t.Context(), "Host.Example.:2222", nil, k))
		require.Equal(t, []string{"host.example"}, z.asked)
		for _, one := range z.records {
			d.Resolver = &zone{records: []knownhosts.SSHFP{one}, authentic: true}
			require.NoError(t, d.VerifyHostKey(t.Context(), "host.example:22", nil, k))
		}
	}
}

// H6: records count only where DNSSEC vouches for them.
func TestSSHFPRecordsAreJudged(t *testing.T) {
	blob, other := key("host").Marshal(), key("other").Marshal()
	sum, sum1, otherSum := sha256.Sum256(blob), sha1.Sum(blob), sha256.Sum256(other)
	good := knownhosts.SSHFP{Algorithm: 4, Type: 2, Fingerprint: sum[:]}
	bad := knownhosts.SSHFP{Algorithm: 4, Type: 2, Fingerprint: otherSum[:]}
	for name, test := range map[string]struct {
		zone zone
		addr string
		want knownhosts.Kind
	}{
		"match":                        {zone{[]knownhosts.SSHFP{good}, true, nil, nil}, "host:22", 0},
		"SHA-1":                        {zone{[]knownhosts.SSHFP{{4, 1, sum1[:]}}, true, nil, nil}, "host:22", 0},
		"match, not authentic":         {zone{[]knownhosts.SSHFP{good}, false, nil, nil}, "host:22", knownhosts.Unknown},
		"no record":                    {zone{nil, true, nil, nil}, "host:22", knownhosts.Unknown},
		"another key":                  {zone{[]knownhosts.SSHFP{bad}, true, nil, nil}, "host:22", knownhosts.Changed},
		"another key, not authentic":   {zone{[]knownhosts.SSHFP{bad}, false, nil, nil}, "host:22", knownhosts.Unknown},
		"one of two":                   {zone{[]knownhosts.SSHFP{bad, good}, true, nil, nil}, "host:22", knownhosts.Unknown},
		"for another algorithm":        {zone{[]knownhosts.SSHFP{{1, 2, otherSum[:]}}, true, nil, nil}, "host:22", knownhosts.Unknown},
		"algorithm of none":            {zone{[]knownhosts.SSHFP{{0, 2, sum[:]}}, true, nil, nil}, "host:22", knownhosts.Unknown},
		"type of none":                 {zone{[]knownhosts.SSHFP{{4, 3, sum[:]}, {4, 0, nil}}, true, nil, nil}, "host:22", knownhosts.Unknown},
		"wrong length":                 {zone{[]knownhosts.SSHFP{{4, 2, sum[:20]}, {4, 1, sum[:]}}, true, nil, nil}, "host:22", knownhosts.Unknown},
		"an address":                   {zone{[]knownhosts.SSHFP{good}, true, nil, nil}, "192.0.2.1:22", knownhosts.Unknown},
		"failure":                      {zone{[]knownhosts.SSHFP{good}, true, errors.New("SERVFAIL"), nil}, "host:22", knownhosts.Unknown},
		"match, among others' records": {zone{[]knownhosts.SSHFP{{3, 2, otherSum[:]}, good}, true, nil, nil}, "host:22", 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := &knownhosts.DNS{Resolver: &test.zone}
			err := d.VerifyHostKey(t.Context(), test.addr, nil, key("host"))
			requireKind(t, test.want, err)
			if test.zone.err != nil {
				require.ErrorIs(t, err, test.zone.err)
			}
		})
	}
}

func TestRevokedKeysInTheDNSStayRevoked(t *testing.T) {
	z := &zone{records: published(t, key("host")), authentic: true}
	p := &knownhosts.Policy{HostKeyAlias: "alias", Sources: []knownhosts.Source{
		&knownhosts.DNS{Resolver: z}, knownhosts.Parse("f", []byte("@revoked * "+text(key("host")))),
	}}
	requireKind(t, knownhosts.Revoked, p.VerifyHostKey(t.Context(), "host.example:22", nil, key("host")))
	p = &knownhosts.Policy{HostKeyAlias: "alias", Sources: p.Sources[:1]}
	require.NoError(t, p.VerifyHostKey(t.Context(), "host.example:22", nil, certificate(signer("ca"), nil)))
	require.Equal(t, []string{"host.example"}, z.asked, "the alias is in no DNS")
}
