package hostfile_test

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hosttest"
)

// numbered returns a host certificate with a serial number and a key ID.
func numbered(ca, host string, serial uint64, id string) *ssh.Certificate {
	return hosttest.Certificate(signer(ca), func(c *ssh.Certificate) { c.Key, c.Serial, c.KeyId = key(host), serial, id })
}

// revokedBySSHKeygen asks ssh-keygen -Q whether a list has a key.
func revokedBySSHKeygen(t *testing.T, list string, k ssh.PublicKey) (revoked bool, output string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.pub")
	require.NoError(t, os.WriteFile(file, ssh.MarshalAuthorizedKey(k), 0o600))
	out, err := exec.Command("ssh-keygen", "-Q", "-f", list, file).CombinedOutput()
	return err != nil, string(out)
}

// TestRevocationListsOfSSHKeygen looks every key up in every list, and so does
// ssh-keygen.
func TestRevocationListsOfSSHKeygen(t *testing.T) {
	keys := []ssh.PublicKey{
		key("host"), key("other"), key("ca"), hosttest.RSA().PublicKey(),
		numbered("ca", "host", 0, "zero"), numbered("ca", "host", 1, "one"), numbered("ca", "host", 5, "five"),
		numbered("ca", "other", 6, "six"), numbered("ca", "other", 70, "seventy"), numbered("ca", "other", 1<<40, "big"),
		numbered("ca", "other", 1<<63, "huge"), numbered("ca", "other", ^uint64(0), "last"),
		numbered("ca2", "host", 5, "five"), numbered("ca2", "other", 9, "one"),
	}
	many := func(from, to, step int) string {
		var b strings.Builder
		for i := from; i < to; i += step {
			fmt.Fprintf(&b, "serial: %d\n", i)
		}
		return b.String()
	}
	for name, spec := range map[string]string{
		"empty":       "",
		"key":         "key: " + text(key("host")) + "\n",
		"sha1":        "sha1: " + text(key("host")) + "\n",
		"sha256":      "sha256: " + text(key("other")) + "\nsha256: " + text(hosttest.RSA().PublicKey()) + "\n",
		"hash":        "hash: " + ssh.FingerprintSHA256(key("host")) + "\n",
		"authority":   "key: " + text(key("ca")) + "\n",
		"serial":      "serial: 5\n",
		"list":        many(1, 1000000, 49999) + "serial: 70\nserial: 1099511627776\nserial: 18446744073709551615\n",
		"range":       "serial: 5-70\n",
		"large range": "serial: 6-9223372036854775808\n",
		"bitmap":      many(1, 200, 4),
		"bitmaps":     many(5, 300, 1) + many(5000, 6000, 3),
		"top":         "serial: 18446744073709551610-18446744073709551615\nserial: 18446744073709551600\nserial: 18446744073709551602\n",
		"id":          "id: five\nid: seventy\n",
		"everything":  "id: one\nserial: 70\nkey: " + text(key("host")) + "\nsha1: " + text(key("other")) + "\n",
	} {
		for _, ca := range []string{"ca", ""} {
			if ca == "" && (strings.Contains(spec, "serial:") || strings.Contains(spec, "id:")) {
				ca = "none" // a list for all authorities
			}
			t.Run(name+" "+ca, func(t *testing.T) {
				dir := t.TempDir()
				list, specFile, caFile := filepath.Join(dir, "krl"), filepath.Join(dir, "spec"), filepath.Join(dir, "ca.pub")
				require.NoError(t, os.WriteFile(specFile, []byte(spec), 0o600))
				require.NoError(t, os.WriteFile(caFile, ssh.MarshalAuthorizedKey(key("ca")), 0o600))
				if ca != "none" {
					ca = caFile
				}
				out, err := exec.Command("ssh-keygen", "-k", "-f", list, "-z", "7", "-s", ca, specFile).CombinedOutput()
				if ca == "" {
					out, err = exec.Command("ssh-keygen", "-k", "-f", list, specFile).CombinedOutput()
				}
				require.NoError(t, err, string(out))
				data, err := hostfile.ReadFile(list)
				require.NoError(t, err)
				r, err := hostfile.ParseRevocationList(list, data)
				require.NoError(t, err)
				for i, k := range keys {
					want, out := revokedBySSHKeygen(t, list, k)
					found, ok := r.Find(k)
					require.Equal(t, want, ok, "key %d: %s", i, out)
					if want {
						require.Contains(t, found.Reason, "revocation list "+list+" has the ")
						continue
					}
					require.Contains(t, out, "ok", "key %d", i)
				}
			})
		}
	}
}

// field builds lists that ssh-keygen does not make, and so do section and krl.
func field(content ...string) string {
	all := strings.Join(content, "")
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(all)))) + all
}

func section(number byte, content ...string) string {
	return string([]byte{number}) + field(content...)
}

func number64(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

func krl(sections ...string) string {
	return "SSHKRL\n\x00\x00\x00\x00\x01" + number64(1) + number64(0) + number64(0) + field() + field("comment") +
		strings.Join(sections, "")
}

// signed adds a signature to a list.
func signed(t testing.TB, list, by string) string {
	list += section(4, string(key(by).Marshal()))
	s, err := signer(by).Sign(rand.Reader, []byte(list))
	require.NoError(t, err)
	return list + field(string(ssh.Marshal(s)))
}

// TestStrangeRevocationLists compares verdicts with those of ssh-keygen. A newer
// list needs a later OpenSSH than 9.2.
func TestStrangeRevocationLists(t *testing.T) {
	host := section(1, field(), field()) + section(2, field(string(key("host").Marshal())))
	all := func(sections ...string) string { return krl(section(1, field(), field(), strings.Join(sections, ""))) }
	extension := func(critical string) string { return field("x@example.com") + critical + field("contents") }
	for name, test := range map[string]struct {
		list  string
		good  bool
		newer bool
	}{
		"nothing":                   {krl(), true, false},
		"a key":                     {krl(host), true, false},
		"unknown section":           {krl(section(6, "x")), false, false},
		"truncated section":         {krl(host)[:len(krl(host))-1], false, false},
		"length of 4 GiB":           {krl("\x02\xff\xff\xff\xff"), false, false},
		"short SHA-1":               {krl(section(3, field("x"))), false, false},
		"short SHA-256":             {krl(section(5, field("x"))), false, false},
		"authority that is no key":  {krl(section(1, field("x"), field())), false, false},
		"unknown certificates":      {all(section(0x24, "x")), false, false},
		"serial 0":                  {all(section(0x20, number64(0))), false, false},
		"half a serial":             {all(section(0x20, number64(1)[:5])), false, false},
		"range backwards":           {all(section(0x21, number64(2), number64(1))), false, false},
		"range from 0":              {all(section(0x21, number64(0), number64(1))), false, false},
		"range with more":           {all(section(0x21, number64(1), number64(2), "x")), false, false},
		"bitmap":                    {all(section(0x22, number64(1), field("\x01"))), true, false},
		"empty bitmap":              {all(section(0x22, number64(1), field())), true, false},
		"negative bitmap":           {all(section(0x22, number64(1), field("\x80"))), false, false},
		"bitmap with serial 0":      {all(section(0x22, number64(0), field("\x01"))), false, false},
		"bitmap to the end":         {all(section(0x22, number64(^uint64(0)), field("\x01"))), true, false},
		"bitmap past the end":       {all(section(0x22, number64(^uint64(0)), field("\x02"))), false, false},
		"key ID":                    {all(section(0x23, field("id"))), true, false},
		"half a key ID":             {all(section(0x23, field("id")[:5])), false, false},
		"signed":                    {signed(t, krl(host), "ca"), true, false},
		"signed by two":             {signed(t, signed(t, krl(host), "ca"), "ca2"), true, false},
		"signed twice":              {signed(t, signed(t, krl(host), "ca"), "ca"), false, false},
		"signed by a revoked key":   {signed(t, krl(host), "host"), false, false},
		"signed by that and others": {signed(t, signed(t, krl(host), "host"), "ca"), true, false},
		"section behind it":         {signed(t, krl(), "ca") + host, false, false},
		"wrong signature":           {strings.Replace(signed(t, krl(host), "ca"), "comment", "COMMENT", 1), false, false},
		"extension":                 {krl(section(255, extension("\x00"))), true, true},
		"critical extension":        {krl(section(255, extension("\x01"))), false, false},
		"certificate extension":     {all(section(0x39, extension("\x00"))), true, true},
		"critical, for certificate": {all(section(0x39, extension("\x01"))), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hostfile.ParseRevocationList("list", []byte(test.list))
			require.Equal(t, test.good, err == nil, "%v", err)
			if !test.newer {
				_, out := revokedBySSHKeygen(t, write(t, test.list), key("other"))
				require.Equal(t, test.good, strings.Contains(out, ": ok"), out)
			}
		})
	}
}
