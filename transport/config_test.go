package transport_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

func TestMistakesOfTheUserAreFoundBeforeAnythingIsSent(t *testing.T) {
	verifier := transport.FixedHostKey(hostKey().PublicKey())
	for name, config := range map[string]*transport.Config{
		"nil config":                 nil,
		"no verifier":                {},
		"unknown key exchange":       {HostKey: verifier, KeyExchanges: []string{"diffie-hellman-group1-sha1"}},
		"unknown host key algorithm": {HostKey: verifier, HostKeyAlgorithms: []string{"ssh-rsa"}},
		"unknown cipher":             {HostKey: verifier, Ciphers: []string{"aes128-gcm@openssh.com", "none"}},
		"unknown MAC":                {HostKey: verifier, MACs: []string{"hmac-md5"}},
		"no key exchange":            {HostKey: verifier, KeyExchanges: []string{}},
		"no cipher":                  {HostKey: verifier, Ciphers: []string{}},
		"too large packets":          {HostKey: verifier, MaxPacket: 262145},
		"negative packets":           {HostKey: verifier, MaxPacket: -1},
		"version of another":         {HostKey: verifier, ClientVersion: "SSH-1.5-x"},
		"version with a line end":    {HostKey: verifier, ClientVersion: "SSH-2.0-x\r\n"},
		"version beyond ASCII":       {HostKey: verifier, ClientVersion: "SSH-2.0-ü"},
		"version without software":   {HostKey: verifier, ClientVersion: "SSH-2.0-"},
		"long version":               {HostKey: verifier, ClientVersion: "SSH-2.0-" + string(make([]byte, 250))},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := sshtest.Pipe()
			c := transport.Client(near, config)
			err := c.Handshake(t.Context())
			require.ErrorContains(t, err, "transport: Config.")
			requireEnded(t, c, err)
			_, err = c.ReadPacket()
			require.ErrorContains(t, err, "Config.", "the cause is kept")
			sent, err := io.ReadAll(far)
			require.NoError(t, err)
			require.Empty(t, sent)
		})
	}
}

func TestConfigIsCopied(t *testing.T) {
	config := transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey()), Ciphers: []string{"aes128-gcm@openssh.com"}}
	c := transport.Client(dial(t, scripted(t, honest)), &config)
	config.Ciphers[0], config.HostKey = "none", nil
	require.NoError(t, c.Handshake(t.Context()))
	require.NoError(t, c.Close())
}
