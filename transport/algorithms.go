package transport

import "github.com/nacre-ssh/nacre/internal/sshkey"

// defaultKeyExchanges are the key exchange methods by preference, those that resist a
// quantum computer first.
var defaultKeyExchanges = []string{
	"mlkem768x25519-sha256",
	"sntrup761x25519-sha512",
	"sntrup761x25519-sha512@openssh.com", // OpenSSH before 9.9
	"mlkem768nistp256-sha256",
	"mlkem1024nistp384-sha384",
	"curve25519-sha256",
	"curve25519-sha256@libssh.org",
	"ecdh-sha2-nistp256",
	"ecdh-sha2-nistp384",
	"ecdh-sha2-nistp521",
	"diffie-hellman-group16-sha512",
	"diffie-hellman-group18-sha512",
	"diffie-hellman-group14-sha256",
	"diffie-hellman-group-exchange-sha256",
}

// defaultHostKeyAlgorithms are the host key algorithms by preference. Certificates come
// last: a verifier for certificates is a HostKeyPreferrer and moves them to the front,
// and any other verifier should see the plain key of a server that has both.
var defaultHostKeyAlgorithms = sshkey.Names(sshkey.HostAlgorithms())

// defaultCiphers are the ciphers by preference.
var defaultCiphers = []string{
	"aes256-gcm@openssh.com",
	"aes128-gcm@openssh.com",
	"chacha20-poly1305@openssh.com",
	"aes256-ctr",
	"aes192-ctr",
	"aes128-ctr",
}

// defaultMACs are the MACs by preference: encrypt-then-MAC first, as in OpenSSH.
var defaultMACs = []string{
	"hmac-sha2-256-etm@openssh.com",
	"hmac-sha2-512-etm@openssh.com",
	"hmac-sha2-256",
	"hmac-sha2-512",
}
