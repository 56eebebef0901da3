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

// maxRounds bounds OpenSSH's key derivation, whose time is linear in them: a few
// seconds. ssh-keygen makes 16 by default, and x/crypto does no more than this.
const maxRounds = 2048

// private is a private key as its file has it.
type private struct {
	public      ssh.PublicKey    // nil where the file hides it
	certificate *ssh.Certificate // in the same file; nil: none
	encrypted   bool
	missing     error // why what is here cannot sign; nil: it can

	// open decrypts the key. A wrong passphrase is x509.IncorrectPasswordError.
	// It can be called until it has succeeded, and once if nothing is encrypted.
	open func(passphrase []byte) (ssh.Signer, error)
}

// isPrivate tells whether data should be a private key, rather than a public one.
func isPrivate(data []byte) bool {
	return bytes.HasPrefix(data, []byte(ppkPrefix)) || bytes.Contains(data, []byte("-----BEGIN"))
}

// parsePrivate looks at a private key without decrypting it. It keeps data.
func parsePrivate(data []byte) (*private, error) {
	if len(data) > maxPrivate {
		return nil, fmt.Errorf("%d bytes, more than a private key can have", len(data))
	}
	if bytes.HasPrefix(data, []byte(ppkPrefix)) {
		return parsePPK(data)
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "OPENSSH PRIVATE KEY":
			return parseOpenSSH(block)
		case block.Type == "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("encrypted PKCS#8 is not supported: ssh-keygen -p makes an OpenSSH file of it")
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return parsePEM(block), nil
		}
		// OpenSSL writes the parameters of a curve before the key.
	}
	return nil, errors.New("no private key in the PEM data, or a damaged one")
}

// parsePEM takes a key of PKCS#1, PKCS#8 or SEC 1.
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
			// Nothing but its padding tells whether the right thing was
			// decrypted, and one time in 256 the wrong thing has it too.
			err = fmt.Errorf("%w, or a key that is not supported: %w", x509.IncorrectPasswordError, err)
		}
		return s, err
	}}
}

// opensshMagic begins what OpenSSH has in PEM, OpenSSH PROTOCOL.key section 1.
const opensshMagic = "openssh-key-v1\x00"

// opensshKeyMsg is what follows.
type opensshKeyMsg struct {
	Cipher     string
	KDF        string
	KDFOptions []byte
	Keys       uint32
	Public     []byte
	Private    []byte
	Rest       []byte `ssh:"rest"`
}

// parseOpenSSH reads the part that is not encrypted, so that nobody types a
// passphrase for a key that cannot be used.
func parseOpenSSH(block *pem.Block) (*private, error) {
	content, ok := bytes.CutPrefix(block.Bytes, []byte(opensshMagic))
	var msg opensshKeyMsg
	if !ok || ssh.Unmarshal(content, &msg) != nil {
		return nil, errors.New("malformed OpenSSH private key")
	}
	if msg.Keys != 1 {
		return nil, fmt.Errorf("%d keys in one file; there must be one", msg.Keys)
	}
	public, err := ssh.ParsePublicKey(msg.Public)
	if err != nil {
		return nil, errors.New("malformed or unknown public key in the OpenSSH private key")
	}
	if err := supported(public.Type()); err != nil {
		return nil, err
	}
	// Either of the two makes it encrypted, and half an encryption is refused below.
	p := &private{public: public, encrypted: msg.KDF != "none" || msg.Cipher != "none"}
	if strings.HasPrefix(public.Type(), "sk-") {
		p.missing = errors.New("signatures come from a token, not from this file: ssh-add it, and have the agent sign")
		return p, nil
	}
	if err := msg.checkEncryption(p.encrypted); err != nil {
		return nil, err
	}
	// x/crypto takes PEM only, and the block may not be all of the file.
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

// checkEncryption tells whether the encryption can be undone, in a bearable time.
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
		return fmt.Errorf("%d rounds of key derivation, more than %d: ssh-keygen -p -a 100 makes fewer", options.Rounds, maxRounds)
	case !slices.Contains([]string{"aes256-ctr", "aes256-cbc"}, msg.Cipher):
		return fmt.Errorf("encrypted with %q, which is not supported: ssh-keygen -p -Z aes256-ctr makes another", clip(msg.Cipher))
	}
	return nil
}

// supported tells why there is no signing with a type of key.
func supported(keyType string) error {
	switch keyType {
	//lint:ignore SA1019 The name is needed to refuse what it names.
	case ssh.InsecureKeyAlgoDSA:
		return errors.New("DSA keys are not supported, and servers do not take them any more")
	case "ssh-ed448":
		return errors.New("Ed448 keys are not supported")
	}
	return nil
}

// signer makes a signer of what x/crypto has parsed, and finishes the checks.
func signer(key any, err error) (ssh.Signer, error) {
	if err != nil {
		return nil, err
	}
	if k, ok := key.(*ed25519.PrivateKey); ok && !bytes.Equal(ed25519.NewKeyFromSeed(k.Seed()), *k) {
		return nil, errors.New("the public half of the key does not belong to the private one")
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return nil, err
	}
	return s, supported(s.PublicKey().Type())
}

// clip cuts text of a file's before it is quoted.
func clip(s string) string { return s[:min(len(s), 100)] }
