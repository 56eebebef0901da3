package transport

import (
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/transport/internal/kex"
	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

// exchangeHash computes H, RFC 4253 section 8.
func (x *keyExchange) exchangeHash(clientVersion, serverVersion string) []byte {
	h := kex.Hash(x.kex)
	h.Write(ssh.Marshal(struct {
		ClientVersion, ServerVersion    string
		ClientInit, ServerInit, HostKey []byte
	}{clientVersion, serverVersion, x.clientInit, x.serverInit, x.result.HostKey}))
	h.Write(x.result.Values)
	h.Write(x.result.Secret)
	return h.Sum(nil)
}

// derive computes n bytes of the key with that letter, RFC 4253 section 7.2.
func (x *keyExchange) derive(letter byte, n int) []byte {
	h := kex.Hash(x.kex)
	var key []byte
	for len(key) < n {
		h.Reset()
		h.Write(x.result.Secret)
		h.Write(x.hash)
		if len(key) == 0 {
			h.Write([]byte{letter})
			h.Write(x.session)
		} else {
			h.Write(key)
		}
		key = h.Sum(key)
	}
	return key[:n]
}

// clientKeys makes the cipher from client to server.
func (x *keyExchange) clientKeys() (packetio.Cipher, error) {
	return x.cipher(x.clientCipher, x.clientMAC, 'A', 'C', 'E')
}

// serverKeys makes the cipher from server to client.
func (x *keyExchange) serverKeys() (packetio.Cipher, error) {
	return x.cipher(x.serverCipher, x.serverMAC, 'B', 'D', 'F')
}

// cipher makes a cipher from the keys with these letters.
func (x *keyExchange) cipher(name, macName string, iv, key, integrity byte) (packetio.Cipher, error) {
	derive := func(letter byte) func(n int) []byte {
		return func(n int) []byte { return x.derive(letter, n) }
	}
	return packetio.NewCipher(name, macName, derive(iv), derive(key), derive(integrity))
}
