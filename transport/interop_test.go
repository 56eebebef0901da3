package transport_test

import (
	"bytes"
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/transport"
)

// server runs x/crypto's server on an end of a pipe and returns the other end. The
// server accepts any user by "none", and answers every global request by success, with
// the payload as reply.
func server(t *testing.T, config *ssh.ServerConfig) net.Conn {
	t.Helper()
	client, peer := sshtest.Pipe()
	config.NoClientAuth = true
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer peer.Close()
		conn, channels, requests, err := ssh.NewServerConn(peer, config)
		if err != nil {
			return
		}
		go func() {
			for ch := range channels {
				_ = ch.Reject(ssh.Prohibited, "no channels here")
			}
		}()
		for r := range requests {
			_ = r.Reply(true, r.Payload)
		}
		_ = conn.Wait()
	}()
	t.Cleanup(func() {
		client.Close()
		<-done
	})
	return client
}

// login requests userauth and gets in by the "none" method. Then the connection
// protocol's global requests can serve as an echo.
func login(t *testing.T, c *transport.Conn) {
	t.Helper()
	require.NoError(t, c.RequestService("ssh-userauth"))
	require.NoError(t, c.WritePacket(ssh.Marshal(wire.UserauthRequestMsg{User: "user", Service: "ssh-connection", Method: "none"})))
	p, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{52}, p)
}

// echo sends n bytes to the server and expects them back.
func echo(t *testing.T, c *transport.Conn, n int) {
	t.Helper()
	data := bytes.Repeat([]byte{byte(n), 0, 255}, n/3+1)[:n]
	// In another goroutine: during a re-exchange the write waits for the reader.
	sent := make(chan error, 1)
	go func() {
		sent <- c.WritePacket(ssh.Marshal(&wire.GlobalRequestMsg{Name: "echo@example.com", WantReply: true, Payload: data}))
	}()
	p, err := c.ReadPacket()
	require.NoError(t, <-sent)
	require.NoError(t, err)
	require.Equal(t, byte(81), p[0])
	require.Equal(t, data, append([]byte{}, p[1:]...))
}

// connect returns a client after the login, with the same first exchange hash as the
// server.
func connect(t *testing.T, config *ssh.ServerConfig, tc transport.Config) *transport.Conn {
	t.Helper()
	session := make(chan []byte, 1)
	config.NoClientAuthCallback = func(m ssh.ConnMetadata) (*ssh.Permissions, error) {
		session <- m.SessionID()
		return nil, nil
	}
	c := transport.Client(server(t, config), &tc)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.Handshake(t.Context()))
	login(t, c)
	require.Equal(t, <-session, c.SessionID())
	return c
}

func TestEveryAlgorithmWithAnotherImplementation(t *testing.T) {
	ed25519 := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	serverConfig := func(c ssh.Config, key ssh.Signer) *ssh.ServerConfig {
		s := &ssh.ServerConfig{Config: c}
		s.AddHostKey(key)
		return s
	}
	any := ssh.SupportedAlgorithms()
	all := ssh.Config{KeyExchanges: any.KeyExchanges, Ciphers: any.Ciphers, MACs: any.MACs}
	tried := map[string]bool{}
	try := func(name string, key ssh.Signer, tc transport.Config, check func(transport.State) string) {
		tried[name] = true
		t.Run(name, func(t *testing.T) {
			tc.HostKey = transport.FixedHostKey(key.PublicKey())
			c := connect(t, serverConfig(all, key), tc)
			require.Equal(t, name, check(c.State()))
			for _, n := range []int{0, 1, 2, 3, 7, 8, 15, 16, 17, 100, 254, 255, 256, 257, 32000} {
				echo(t, c, n)
			}
			require.NoError(t, c.Rekey())
			echo(t, c, 5)
			require.Equal(t, 2, c.State().Exchanges)
		})
	}
	for _, kex := range []string{
		"mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org",
		"ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
		"diffie-hellman-group14-sha256", "diffie-hellman-group16-sha512", "diffie-hellman-group-exchange-sha256",
	} {
		try(kex, ed25519, transport.Config{KeyExchanges: []string{kex}}, func(s transport.State) string { return s.KeyExchange })
	}
	for _, cipher := range []string{"aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"} {
		try(cipher, ed25519, transport.Config{Ciphers: []string{cipher}, MACs: []string{}}, func(s transport.State) string { return s.ClientCipher })
	}
	for _, cipher := range []string{"aes128-ctr", "aes192-ctr", "aes256-ctr"} {
		for _, mac := range []string{"hmac-sha2-256", "hmac-sha2-512", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"} {
			try(cipher+" "+mac, ed25519, transport.Config{Ciphers: []string{cipher}, MACs: []string{mac}},
				func(s transport.State) string { return s.ServerCipher + " " + s.ServerMAC })
		}
	}
	for _, alg := range []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512} {
		keyType := alg
		if alg == ssh.KeyAlgoRSASHA256 || alg == ssh.KeyAlgoRSASHA512 {
			keyType = ssh.KeyAlgoRSA
		}
		key := sshtest.NewSigner(t, keyType)
		try(alg, key, transport.Config{HostKeyAlgorithms: []string{alg}}, func(s transport.State) string { return s.HostKeyAlgorithm })
		cert := sshtest.NewCertSigner(t, ed25519, key, ssh.HostCert, "host")
		certAlg := map[string]string{ssh.KeyAlgoRSASHA256: ssh.CertAlgoRSASHA256v01, ssh.KeyAlgoRSASHA512: ssh.CertAlgoRSASHA512v01}[alg]
		if certAlg == "" {
			certAlg = cert.PublicKey().Type()
		}
		try(certAlg, cert, transport.Config{HostKeyAlgorithms: []string{certAlg}}, func(s transport.State) string { return s.HostKeyAlgorithm })
	}
	require.Len(t, tried, 9+3+12+12)
}

func TestTheProofOfTheHostKeyIsThatOfTheFirstExchange(t *testing.T) {
	key, before := transport.Client(server(t, &ssh.ServerConfig{}), nil).HostKeyProof()
	require.Nil(t, key)
	require.Nil(t, before)

	config := &ssh.ServerConfig{}
	config.AddHostKey(sshtest.NewSigner(t, ssh.KeyAlgoECDSA256)) // whose signatures differ
	c := connect(t, config, transport.Config{HostKey: transport.HostKeyFunc(
		func(context.Context, string, net.Addr, ssh.PublicKey) error { return nil })})
	_, first := c.HostKeyProof()
	require.NoError(t, c.Rekey())
	for c.State().Exchanges < 2 {
		echo(t, c, 10)
	}
	key, proof := c.HostKeyProof()
	require.Equal(t, first, proof)
	var signature ssh.Signature
	require.NoError(t, ssh.Unmarshal(proof, &signature))
	require.NoError(t, key.Verify(c.SessionID(), &signature))
}
