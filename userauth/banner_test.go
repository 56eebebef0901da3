package userauth_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/userauth"
)

// A8: number, size and characters of banners.
func TestBannersAreBoundedAndCleaned(t *testing.T) {
	show := func(texts ...string) (shown []string) {
		p := newPeer(func([]byte) (packets [][]byte) {
			for _, text := range texts {
				packets = append(packets, banner(text))
			}
			return append(packets, success)
		})
		require.NoError(t, userauth.Authenticate(t.Context(), p, &userauth.Config{User: "bob",
			Methods: []userauth.Method{userauth.None()}, Banner: func(text string) { shown = append(shown, text) }}))
		return shown
	}
	require.Equal(t, []string{"a\n\tb]0;xc\ufffdd"}, show("a\r\n\tb\x1b]0;x\x07c\xffd\u009b\u202e\x7f\x00"))
	require.Equal(t, []string{"left right end"}, show("\u202aleft\u2066 \u2029right\u2069\ufeff \u200b\u2028end\u202c\u0085"))
	require.Empty(t, show("", "\x1b\x1b"))
	total := 0
	for _, text := range show(slices.Repeat([]string{strings.Repeat("\xff", 30<<10)}, 20)...) {
		require.LessOrEqual(t, len(text), 16<<10)
		total += len(text)
	}
	require.LessOrEqual(t, total, 64<<10)
	require.Greater(t, total, 60<<10)
}
