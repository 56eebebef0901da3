package knownhosts_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// FuzzLine checks that a line trusts no key but its own, and a line with a marker
// no key at all.
func FuzzLine(f *testing.F) {
	good := text(key("host"))
	for _, line := range []string{
		"host " + good, "*,!host " + good + " comment\r", "[host]:2222,::1 " + good, "@revoked * " + good,
		"@cert-authority *.example " + good, "@cert-authority @revoked * " + good, "# " + good, "host ssh-rsa AAAA",
		"|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA= " + good, "\ufeffhost " + good, "host\x00 " + good, "@revoked * rsa-sha2-512 " + strings.Fields(text(rsaSigner().PublicKey()))[1],
	} {
		f.Add(line, "host:22")
	}
	f.Fuzz(func(t *testing.T, line, addr string) {
		line = strings.ReplaceAll(line, "\n", "")
		d := knownhosts.Parse("f", []byte(line))
		require.LessOrEqual(t, len(d.Skipped()), 1)
		require.Error(t, verify(t, d, addr, key("not on any line")))
		require.Error(t, verify(t, d, addr, certificate(signer("not on any line"), func(c *ssh.Certificate) {
			c.Key = key("not on any line")
		})))
		marked := strings.HasPrefix(strings.Trim(strings.TrimPrefix(line, "\ufeff"), " \t"), "@")
		accepted := verify(t, d, addr, key("host")) == nil
		require.False(t, accepted && marked, "a line with a marker was taken for a plain one")
		require.False(t, accepted && len(d.Skipped()) > 0, "a skipped line trusts a key")
		if accepted && strings.HasSuffix(addr, ":22") {
			require.NotEmpty(t, d.HostKeyAlgorithms(addr))
		}
	})
}

// FuzzFile reads any file. A line at the end is understood whatever stands
// before, and a revocation at the end holds.
func FuzzFile(f *testing.F) {
	good := text(key("host"))
	f.Add([]byte("host "+good+"\n\n# c\r\nbad\n@revoked * "+good), "host:22")
	f.Add([]byte("[host]:2222 "+good+"\nhost "+good+"\n!host,* "+good), "host:2222")
	f.Add([]byte("@cert-authority * "+text(key("ca"))+"\n\x00\n\xff"), "[::1]:22")
	f.Fuzz(func(t *testing.T, content []byte, addr string) {
		content = append(content, '\n')
		before := knownhosts.Parse("f", content)
		require.LessOrEqual(t, len(before.Skipped()), bytes.Count(content, []byte("\n")))

		content = append(content, "last.example "+text(key("last"))+"\n@revoked * "+good+"\n@revoked * "+text(key("ca"))...)
		d := knownhosts.Parse("f", content)
		require.Len(t, d.Skipped(), len(before.Skipped()))
		require.Error(t, verify(t, d, addr, key("host")))
		require.Error(t, verify(t, d, addr, certificate(signer("ca"), nil)))
		if err := verify(t, d, "last.example:22", key("last")); err != nil {
			requireKind(t, knownhosts.Revoked, err)
		}
	})
}

// FuzzEdit checks that Add keeps every byte of a file, and RotateHostKeys every
// line about other hosts. The recorded keys are trusted afterwards.
func FuzzEdit(f *testing.F) {
	good := text(key("host"))
	f.Add([]byte("host "+good+"\nhost "+text(key("stale"))+" c\r\n\n# c\nbad\n\x00"), false)
	f.Add([]byte("|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA= "+good+"\nhost,b,c "+good), true)
	f.Add([]byte("@revoked host "+text(key("x"))+"\n@cert-authority * "+text(key("x"))+"\n!host,* "+good), false)
	f.Fuzz(func(t *testing.T, content []byte, hash bool) {
		file := write(t, string(content))
		err := load(t, file).Add("host:22", key("host"))
		added := read(t, file)
		require.True(t, strings.HasPrefix(added, string(content)))
		if err != nil {
			requireKind(t, knownhosts.Revoked, err)
			require.Equal(t, string(content), added)
			return
		}
		requireKind(t, 0, verify(t, load(t, file), "host:22", key("host")))

		p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, file)}, UpdateHostKeys: knownhosts.UpdateYes, HashKnownHosts: hash}
		if err := rotate(t.Context(), p, nil, "host", "new"); err != nil {
			require.Equal(t, added, read(t, file))
			return
		}
		rotated := read(t, file)
		for line := range strings.Lines(added) {
			about := len(knownhosts.Parse("f", []byte(line)).HostKeyAlgorithms("host:22")) > 0
			require.True(t, about || strings.Contains(rotated, line), "%q", line)
		}
		d := load(t, file)
		requireKind(t, 0, verify(t, d, "host:22", key("host")))
		requireKind(t, 0, verify(t, d, "host:22", key("new")))
	})
}
