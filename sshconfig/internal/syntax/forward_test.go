package syntax_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

func TestParseForward(t *testing.T) {
	getenv := func(name string) (string, bool) { return map[string]string{"DIR": "/run"}[name], name == "DIR" }
	for text, want := range map[string]syntax.Forward{
		"8080:web:80":    {ListenPort: 8080, ConnectHost: "web", ConnectPort: 80},
		":81:[::1]:80":   {ListenHost: "*", EmptyHost: true, ListenPort: 81, ConnectHost: "::1", ConnectPort: 80},
		"/l:/r":          {ListenPath: "/l", ConnectPath: "/r"},
		"a:8080:web:80":  {ListenHost: "a", ListenPort: 8080, ConnectHost: "web", ConnectPort: 80},
		"${DIR}/l:web:1": {ListenPath: "/run/l", ConnectHost: "web", ConnectPort: 1},
	} {
		have, err := syntax.ParseForward(text, false, false, getenv)
		require.NoError(t, err, text)
		require.Equal(t, want, have, text)
	}
	for _, text := range []string{"", "1", "0:a:1", "x:a:1", "1:a:0", "1:a:2:3:4", "[::1:a:1", "${NOT_SET}:a:1"} {
		_, err := syntax.ParseForward(text, false, false, getenv)
		require.Error(t, err, text)
	}
}
