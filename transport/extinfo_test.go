package transport_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/transport"
)

func TestExtensions(t *testing.T) {
	c, _, err := after(t, nil, extInfo("server-sig-algs", "a,b", "empty", ""))
	require.NoError(t, err)
	value, ok := c.Extension("server-sig-algs")
	require.True(t, ok)
	require.Equal(t, "a,b", string(value))
	clear(value)
	value, _ = c.Extension("server-sig-algs")
	require.Equal(t, "a,b", string(value), "a copy is returned")
	value, ok = c.Extension("empty")
	require.True(t, ok)
	require.Empty(t, value)
	_, ok = c.Extension("absent")
	require.False(t, ok)

	c, got, err := after(t, nil, extInfo("x", "1", "z", "0"), []byte{53}, extInfo("x", "2"), []byte{52}, []byte{80})
	require.NoError(t, err)
	require.Len(t, got, 3)
	value, _ = c.Extension("x")
	require.Equal(t, "2", string(value))
	_, ok = c.Extension("z")
	require.False(t, ok, "the second message replaces the first")

	var full []string
	for i := range 1024 {
		full = append(full, string(rune('a'+i)), "")
	}
	_, _, err = after(t, nil, extInfo(full...))
	require.NoError(t, err)
}

// K25: EXT_INFO with too many extensions, malformed, or out of turn.
func TestExtInfoThatIsRefused(t *testing.T) {
	good := extInfo("server-sig-algs", "ssh-ed25519")
	for name, packets := range map[string][][]byte{
		"a million entries":      {{7, 0, 0x0f, 0x42, 0x40, 0, 0, 0, 0, 0, 0, 0, 0}},
		"2^32-1 entries":         {{7, 255, 255, 255, 255}},
		"1025 entries":           {extInfo(make([]string, 2*1025)...)},
		"fewer entries":          {append(bytes.Clone(good), text(0, "x")[1:]...)},
		"more entries":           {append([]byte{7, 0, 0, 0, 2}, good[5:]...)},
		"same name twice":        {extInfo("x", "1", "x", "2")},
		"NUL in a name":          {extInfo("x\x00", "1")},
		"NUL in server-sig-algs": {extInfo("server-sig-algs", "ssh-ed25519\x00,x")},
		"third":                  {good, good, good},
		"second, not at the end": {good, good, {53}},
		"after the success":      {good, {52}, good},
		"after both":             {good, good, {52}, good},
		"key exchange between":   {good, good, kexInit(curve)},
		"unknown between":        {good, good, {200}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := after(t, nil, packets...)
			require.ErrorAs(t, err, new(*transport.ProtocolError))
		})
	}
}
