package hostfile_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hosttest"
)

func FuzzParseRevocationList(f *testing.F) {
	f.Add([]byte(text(key("host")) + "\n"))
	f.Add([]byte(krl(section(2, field(string(key("host").Marshal()))), section(3, field(strings.Repeat("x", 20))))))
	f.Add([]byte(signed(f, krl(section(1, field(string(key("ca").Marshal())), field(),
		section(0x20, number64(3)), section(0x21, number64(5), number64(7)), section(0x22, number64(9), field("\x05")),
		section(0x23, field("id")))), "ca")))
	cert := hosttest.Certificate(signer("ca"), func(c *ssh.Certificate) { c.Serial = 11 })
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := hostfile.ParseRevocationList("list", slices.Clone(data))
		if err != nil {
			require.Less(t, len(err.Error()), 1000)
			return
		}
		for _, k := range []ssh.PublicKey{key("host"), cert} {
			found, ok := r.Find(k)
			require.Equal(t, ok, found.Reason != "" || found.Line.Number > 0)
		}
	})
}

// FuzzEdits checks an entry and an update: the entry keeps every byte of a file,
// and the update every line about other hosts.
func FuzzEdits(f *testing.F) {
	good := text(key("host"))
	f.Add([]byte("host "+good+"\nhost "+text(key("stale"))+" c\r\n\n# c\nbad\n\x00"), false)
	f.Add([]byte(someHash+" "+good+"\nhost,b,c "+good), true)
	f.Add([]byte("@revoked host "+text(key("x"))+"\n@cert-authority * "+text(key("x"))+"\n!host,* "+good), false)
	f.Fuzz(func(t *testing.T, content []byte, hash bool) {
		e := hostfile.Entry{Key: key("host"), Names: []string{"host"}, Hash: hash, Beside: true}
		added, lines, err := e.Append(slices.Clone(content), "f")
		if err != nil {
			require.ErrorAs(t, err, new(*hostfile.ConflictError))
			return
		}
		require.True(t, bytes.HasPrefix(added, content))
		require.Len(t, lines, 1)
		require.Contains(t, about(parse(string(added)), "host"), lines[0].Number)

		u := hostfile.Update{File: "f", Name: "host", Key: key("host"), Hash: hash,
			Announced: []ssh.PublicKey{key("host"), key("new")}}
		plan, err := u.Plan(added)
		if err != nil || plan.Empty() {
			return
		}
		updated := string(u.Apply(added, plan))
		for line := range strings.Lines(string(added)) {
			require.True(t, len(about(parse(line), "host")) > 0 || strings.Contains(updated, line), "%q", line)
		}
		plan, err = u.Plan([]byte(updated))
		require.NoError(t, err)
		require.True(t, plan.Empty(), "an update leaves nothing to do")
	})
}
