package nacre_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

// FuzzServerState has a program remember any JSON about a server. Wrong memories
// cost a round trip or a second connection, but change neither the result of the
// login nor the negotiated algorithms.
func FuzzServerState(f *testing.F) {
	for _, text := range []string{
		`{}`, `null`, `{"KeyExchanges":["curve25519-sha256"],"Key":"x","KeyOnly":true}`,
		`{"KeyExchanges":["ecdh-sha2-nistp256","none",""]}`, `{"KeyExchanges":["diffie-hellman-group1-sha1"]}`,
		`{"KeyExchanges":["kex-strict-c-v00@openssh.com","ext-info-c","mlkem768x25519-sha256"],"DisableEarly":true}`,
		`{"KeyExchanges":["diffie-hellman-group14-sha256"],"Key":"SHA256:` + "\u0000" + `","KeyOnly":true,"DisableEarly":false}`,
	} {
		f.Add([]byte(text))
	}
	s := sshtest.NewServer(f, &sshtest.Options{InMemory: true})
	f.Fuzz(func(t *testing.T, text []byte) {
		state := new(nacre.ServerState)
		if json.Unmarshal(text, state) != nil {
			return
		}
		c := config(s)
		c.Dial = s.DialContext
		c.Transport = transport.Config{KeyExchanges: []string{"ecdh-sha2-nistp256", "curve25519-sha256"}}
		c.Memory = nacre.NewMemory(1)
		c.Memory.Put(s.Target, state)
		out, err := nacre.Command(t.Context(), s.Target, c, "echo hello").Output()
		require.NoError(t, err)
		require.Equal(t, "hello\n", string(out))
		client, err := nacre.Dial(t.Context(), s.Target, c)
		require.NoError(t, err)
		require.Equal(t, "ecdh-sha2-nistp256", client.Transport().State().KeyExchange)
		require.NoError(t, client.Close())
	})
}
