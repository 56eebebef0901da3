package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// maxRounds bounds the rounds of OpenSSH's key derivation to a few seconds. The
// default of ssh-keygen is 16, and the limit of x/crypto is maxRounds.
const maxRounds = 2048

// private is a parsed file of a private key.
type private struct {
	public      ssh.PublicKey    // nil where the file hides the public key
	certificate *ssh.Certificate // in the same file, or nil
	encrypted   bool
	missing     error // why the file cannot sign, or nil

	// open decrypts the key. A wrong passphrase is x509.IncorrectPasswordError.
	// Callers may call open until open succeeds, and once if nothing is encrypted.
	open func(passphrase []byte) (ssh.Signer, error)
}

// isPrivate reports whether data looks like a private key.
func isPrivate(data []byte) bool {
	return bytes.HasPrefix(data, []byte(ppkPrefix)) || bytes.Contains(data, []byte("-----BEGIN"))
}

// parsePrivate parses a private key without decrypting the key, and keeps data.
func parsePrivate(data []byte) (*private, error) {
	if len(data) > maxPrivate {
		return nil, fmt.Errorf("file of %d bytes is longer than %d, too long for a private key", len(data), maxPrivate)
	}
	if bytes.HasPrefix(data, []byte(ppkPrefix)) {
		return parsePPK(data)
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "OPENSSH PRIVATE KEY":
			return parseOpenSSH(block)
		case block.Type == "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("encrypted PKCS#8 is not supported: convert the file with ssh-keygen -p")
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return parsePEM(block), nil
		}
		// Other blocks are passed: OpenSSL writes a curve's parameters before the key.
	}
	return nil, errors.New("the PEM data has no private key, or a damaged one")
}

// parsePEM parses a key of PKCS#1, PKCS#8 or SEC 1.
func parsePEM(block *pem.Block) *private {
	encoded := pem.EncodeToMemory(block)
	if !strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		return &private{open: func([]byte) (ssh.Signer, error) {
			defer clear(encoded)
			return signer(ssh.ParseRawPrivateKey(encoded))
		}}
	}
	return &private{encrypted: true, open: func(passphrase []byte) (ssh.Signer, error) {
		s, err := signer(ssh.ParseRawPrivateKeyWithPassphrase(encoded, passphrase))
		if err != nil && !errors.Is(err, x509.IncorrectPasswordError) {
			// Only the padding tells a wrong passphrase, and a wrong passphrase
			// gives a valid padding in 1 of 256 cases.
			err = fmt.Errorf("%w, or the key is not supported: %w", x509.IncorrectPasswordError, err)
		}
		return s, err
	}}
}

// opensshMagic begins OpenSSH's PEM data, OpenSSH PROTOCOL.key section 1.
const opensshMagic = "openssh-key-v1\x00"

// opensshKeyMsg follows opensshMagic.
type opensshKeyMsg struct {
	Cipher     string
	KDF        string
	KDFOptions []byte
	Keys       uint32
	Public     []byte
	Private    []byte
	Rest       []byte `ssh:"rest"`
}

// parseOpenSSH reads the part that is not encrypted, so that nobody types the
// passphrase of an unusable key.
func parseOpenSSH(block *pem.Block) (*private, error) {
	content, ok := bytes.CutPrefix(block.Bytes, []byte(opensshMagic))
	var msg opensshKeyMsg
	if !ok || ssh.Unmarshal(content, &msg) != nil {
		return nil, errors.New("malformed OpenSSH private key")
	}
	if msg.Keys != 1 {
		return nil, fmt.Errorf("file has %d keys, not 1", msg.Keys)
	}
	public, err := ssh.ParsePublicKey(msg.Public)
	if err != nil {
		return nil, errors.New("malformed or unknown public key in the OpenSSH private key")
	}
	if err := supported(public.Type()); err != nil {
		return nil, err
	}
	// Each of the two means encryption, and half an encryption is refused below.
	p := &private{public: public, encrypted: msg.KDF != "none" || msg.Cipher != "none"}
	if strings.HasPrefix(public.Type(), "sk-") {
		p.missing = errors.New("the private key is in a token, not in the file: load the key into an agent (ssh-add)")
		return p, nil
	}
	if err := msg.checkEncryption(p.encrypted); err != nil {
		return nil, err
	}
	// x/crypto takes only PEM, and the file may have more than the block.
	encoded := pem.EncodeToMemory(block)
	p.open = func(passphrase []byte) (ssh.Signer, error) {
		if !p.encrypted {
			defer clear(encoded)
			return signer(ssh.ParseRawPrivateKey(encoded))
		}
		return signer(ssh.ParseRawPrivateKeyWithPassphrase(encoded, passphrase))
	}
	return p, nil
}

// checkEncryption returns why the encryption cannot be undone in a bearable time.
func (msg *opensshKeyMsg) checkEncryption(encrypted bool) error {
	if !encrypted {
		return nil
	}
	var options struct {
		Salt   []byte
		Rounds uint32
	}
	switch {
	case msg.KDF != "bcrypt" || ssh.Unmarshal(msg.KDFOptions, &options) != nil:
		return fmt.Errorf("key derivation %q is not supported", clip(msg.KDF))
	case options.Rounds > maxRounds:
		return fmt.Errorf("key derivation has %d rounds, more than %d: use fewer (ssh-keygen -p -a 100)", options.Rounds, maxRounds)
	case !slices.Contains([]string{"aes256-ctr", "aes256-cbc"}, msg.Cipher):
		return fmt.Errorf("cipher %q is not supported: use another (ssh-keygen -p -Z aes256-ctr)", clip(msg.Cipher))
	}
	return nil
}

// signer makes a signer of a key from x/crypto, and finishes the checks.
func signer(key any, err error) (ssh.Signer, error) {
	if err != nil {
		return nil, err
	}
	if k, ok := key.(*ed25519.PrivateKey); ok && !bytes.Equal(ed25519.NewKeyFromSeed(k.Seed()), *k) {
		return nil, errors.New("the public half of the key does not match the private half")
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return nil, err
	}
	return s, supported(s.PublicKey().Type())
}

// clip shortens a text of a file that will be quoted with %q.
func clip(s string) string { return s[:min(len(s), 100)] }
