package identity

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
)

// ppkPrefix begins a PuTTY key file, before the version. PuTTY's manual describes
// the format in appendix C.
const ppkPrefix = "PuTTY-User-Key-File-"

// These bounds limit Argon2. PuTTY's defaults are 8 MiB and about 100 ms.
const (
	maxArgonMemory  = 256 << 10 // KiB
	maxArgonWork    = 8 << 20   // KiB times passes: some seconds
	maxArgonThreads = 64
	maxPPKLines     = 1000
)

// ppk is a PuTTY key file. The MAC covers all fields except the MAC, and the key
// derivation by the use of the derived keys.
type ppk struct {
	version    int
	algorithm  string
	encryption string
	comment    string
	public     []byte
	private    []byte // padded to the cipher's blocks, and perhaps encrypted
	mac        []byte
	argon      argon
}

// argon is the key derivation of version 3.
type argon struct {
	flavour                 string
	memory, passes, threads uint32
	salt                    []byte
}

// parsePPK reads versions 2 and 3.
func parsePPK(data []byte) (*private, error) {
	p, err := readPPK(data)
	if err != nil {
		return nil, err
	}
	if err := supported(p.algorithm); err != nil {
		return nil, err
	}
	public, err := ssh.ParsePublicKey(p.public)
	if err != nil || public.Type() != p.algorithm {
		return nil, fmt.Errorf("the public key is malformed, or its type is not %q", clip(p.algorithm))
	}
	cert, _ := public.(*ssh.Certificate)
	f := &private{public: sshkey.Plain(public), certificate: cert, encrypted: p.encryption != "none"}
	f.open = func(passphrase []byte) (ssh.Signer, error) {
		blob, err := p.decrypt(passphrase)
		if err != nil {
			return nil, err
		}
		defer clear(blob)
		return signer(ppkKey(f.public, blob))
	}
	return f, nil
}

// readPPK reads the lines.
func readPPK(data []byte) (*ppk, error) {
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
	r := &ppkReader{lines: strings.Split(text, "\n")}
	var p ppk
	switch {
	case strings.HasPrefix(text, ppkPrefix+"2: "):
		p.version = 2
	case strings.HasPrefix(text, ppkPrefix+"3: "):
		p.version = 3
	default:
		return nil, errors.New("the version of the PuTTY key file is neither 2 nor 3: save the file anew with PuTTYgen")
	}
	p.algorithm = r.field(fmt.Sprint(ppkPrefix, p.version))
	p.encryption = r.field("Encryption")
	p.comment = r.field("Comment")
	p.public = r.blob("Public-Lines")
	if p.version == 3 && p.encryption != "none" {
		p.argon = argon{
			flavour: r.field("Key-Derivation"),
			memory:  r.number("Argon2-Memory", maxArgonMemory),
			passes:  r.number("Argon2-Passes", maxArgonWork),
			threads: r.number("Argon2-Parallelism", maxArgonThreads),
			salt:    r.hex("Argon2-Salt"),
		}
	}
	p.private = r.blob("Private-Lines")
	p.mac = r.hex("Private-MAC")
	if r.err != nil {
		return nil, r.err
	}
	return &p, p.check()
}

// check returns an error for an encryption that is not supported, damaged, or takes
// too long to undo.
func (p *ppk) check() error {
	switch {
	case p.encryption == "none":
		return nil
	case p.encryption != "aes256-cbc":
		return fmt.Errorf("encryption %q of a PuTTY key file is not supported", clip(p.encryption))
	case len(p.private)%aes.BlockSize != 0:
		return errors.New("the private part of the PuTTY key file is cut short")
	case p.version == 2:
		return nil
	case p.argon.flavour == "Argon2d":
		return errors.New("key derivation Argon2d is not supported: save the key with Argon2id (puttygen --ppk-param kdf=argon2id)")
	case p.argon.flavour != "Argon2id" && p.argon.flavour != "Argon2i":
		return fmt.Errorf("key derivation %q of a PuTTY key file is not supported", clip(p.argon.flavour))
	case uint64(p.argon.memory)*uint64(p.argon.passes) > maxArgonWork:
		return fmt.Errorf("key derivation of the PuTTY key file takes too long: %d passes over %d KiB, together more than %d KiB", p.argon.passes, p.argon.memory, maxArgonWork)
	}
	return nil
}

// keys derives the key and vector of the cipher, and the key of the MAC. In
// version 2 the MAC is keyed with a constant and the passphrase, even an empty
// passphrase. Without a passphrase, the MAC of version 3 has no key and shows
// damage only, for anybody can make the file.
func (p *ppk) keys(passphrase []byte) (key, iv, mac []byte) {
	if p.version == 2 {
		h := sha1.New()
		sum := func(parts ...[]byte) []byte {
			h.Reset()
			for _, part := range parts {
				h.Write(part)
			}
			return h.Sum(nil)
		}
		key = append(sum([]byte{0, 0, 0, 0}, passphrase), sum([]byte{0, 0, 0, 1}, passphrase)...)[:32]
		return key, make([]byte, aes.BlockSize), sum([]byte("putty-private-key-file-mac-key"), passphrase)
	}
	if p.encryption == "none" {
		return nil, nil, nil
	}
	// The derived 80 bytes are the cipher's key (32), its vector (16) and the MAC's key (32).
	derive := argon2.IDKey
	if p.argon.flavour == "Argon2i" {
		derive = argon2.Key
	}
	all := derive(passphrase, p.argon.salt, p.argon.passes, p.argon.memory, uint8(p.argon.threads), 80)
	return all[:32], all[32:48], all[48:]
}

// decrypt returns the private part, if the passphrase is right and the file is
// unchanged.
func (p *ppk) decrypt(passphrase []byte) ([]byte, error) {
	if p.encryption == "none" {
		passphrase = nil
	}
	// CBC is decrypted before the MAC is checked, because the MAC is of the plain
	// text; whoever could learn from the time has the file anyway.
	key, iv, macKey := p.keys(passphrase)
	blob := bytes.Clone(p.private)
	wrong := errors.New("the file is damaged or was changed: the MAC is wrong")
	if p.encryption != "none" {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		cipher.NewCBCDecrypter(block, iv).CryptBlocks(blob, blob)
		wrong = x509.IncorrectPasswordError
	}
	h := map[int]func() hash.Hash{2: sha1.New, 3: sha256.New}[p.version]
	mac := hmac.New(h, macKey)
	mac.Write(ssh.Marshal(struct {
		Algorithm, Encryption, Comment string
		Public, Private                []byte
	}{p.algorithm, p.encryption, p.comment, p.public, blob}))
	if !hmac.Equal(mac.Sum(nil), p.mac) {
		clear(blob)
		return nil, wrong
	}
	return blob, nil
}

// ppkKey returns the private key to a public key. blob has the numbers that the
// public key has not, and then padding. ppkKey checks for RSA that both halves
// match; for other keys the caller compares the public keys.
func ppkKey(public ssh.PublicKey, blob []byte) (any, error) {
	crypto, ok := public.(ssh.CryptoPublicKey)
	if !ok {
		return nil, fmt.Errorf("keys of type %q in PuTTY key files are not supported", clip(public.Type()))
	}
	malformed := errors.New("malformed private key in the PuTTY key file")
	switch pub := crypto.CryptoPublicKey().(type) {
	case *rsa.PublicKey:
		var msg struct {
			D, P, Q, Iqmp *big.Int
			Rest          []byte `ssh:"rest"`
		}
		// The modulus bounds the primes, and ParsePublicKey has bounded the modulus.
		if ssh.Unmarshal(blob, &msg) != nil || msg.D.BitLen() > pub.N.BitLen() {
			return nil, malformed
		}
		k := &rsa.PrivateKey{PublicKey: *pub, D: msg.D, Primes: []*big.Int{msg.P, msg.Q}}
		// The product bounds the primes before Validate calculates with them.
		if new(big.Int).Mul(msg.P, msg.Q).Cmp(pub.N) != 0 || k.Validate() != nil {
			return nil, malformed
		}
		k.Precompute()
		return k, nil
	case *ecdsa.PublicKey:
		var msg struct {
			D    *big.Int
			Rest []byte `ssh:"rest"`
		}
		size := (pub.Curve.Params().BitSize + 7) / 8
		if ssh.Unmarshal(blob, &msg) != nil || msg.D.Sign() < 0 || msg.D.BitLen() > 8*size {
			return nil, malformed
		}
		return ecdsa.ParseRawPrivateKey(pub.Curve, msg.D.FillBytes(make([]byte, size)))
	case ed25519.PublicKey:
		var msg struct {
			Seed []byte
			Rest []byte `ssh:"rest"`
		}
		if ssh.Unmarshal(blob, &msg) != nil || len(msg.Seed) != ed25519.SeedSize {
			return nil, malformed
		}
		return ed25519.NewKeyFromSeed(msg.Seed), nil
	}
	return nil, fmt.Errorf("keys of type %q in PuTTY key files are not supported", clip(public.Type()))
}

// ppkReader reads lines of the form "Name: value". After the first error all
// values are empty.
type ppkReader struct {
	lines []string
	err   error
}

// fail keeps the first error.
func (r *ppkReader) fail(name string) {
	if r.err == nil {
		r.err = fmt.Errorf("malformed PuTTY key file: %s", name)
	}
}

// line returns the next line, and "" after the last.
func (r *ppkReader) line() (line string) {
	if len(r.lines) > 0 {
		line, r.lines = r.lines[0], r.lines[1:]
	}
	return line
}

// field returns the value of the next line, if the line has the given name.
func (r *ppkReader) field(name string) string {
	value, ok := strings.CutPrefix(r.line(), name+": ")
	if !ok {
		r.fail(name)
	}
	return value
}

// number returns a number from 1 to limit.
func (r *ppkReader) number(name string, limit uint64) uint32 {
	n, err := strconv.ParseUint(r.field(name), 10, 32)
	if err != nil || n == 0 || n > limit {
		r.fail(name + " is not a number from 1 to " + fmt.Sprint(limit))
		return 0
	}
	return uint32(n)
}

// hex returns the bytes of the next line, in hexadecimal.
func (r *ppkReader) hex(name string) []byte {
	value, err := hex.DecodeString(r.field(name))
	if err != nil {
		r.fail(name)
	}
	return value
}

// blob returns the content of the lines of base64 that the next line counts.
func (r *ppkReader) blob(name string) []byte {
	var encoded strings.Builder
	for range r.number(name, maxPPKLines) {
		encoded.WriteString(r.line())
	}
	blob, err := base64.StdEncoding.DecodeString(encoded.String())
	if err != nil {
		r.fail(name)
	}
	return blob
}
