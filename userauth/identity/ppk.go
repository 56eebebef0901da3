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
)

// ppkPrefix begins a file of PuTTY's, before the version. The format is
// described in PuTTY's manual, appendix C.
const ppkPrefix = "PuTTY-User-Key-File-"

// Bounds on Argon2, which PuTTY gives 8 MiB and about 100 ms.
const (
	maxArgonMemory  = 256 << 10 // KiB
	maxArgonWork    = 8 << 20   // KiB times passes: some seconds
	maxArgonThreads = 64
	maxPPKLines     = 1000
)

// ppk is a file of PuTTY's. All of it but the MAC is covered by the MAC, the
// derivation of the keys by their use.
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
		return nil, fmt.Errorf("the public key is malformed, or not of the type %q", clip(p.algorithm))
	}
	cert, _ := public.(*ssh.Certificate)
	f := &private{public: plain(public), certificate: cert, encrypted: p.encryption != "none"}
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
		return nil, errors.New("a PuTTY key file of a version other than 2 and 3: PuTTYgen saves it anew")
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

// check tells whether the encryption can be undone, in a bearable time.
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
		return errors.New("key derivation Argon2d is not supported: PuTTYgen saves the key with Argon2id (--ppk-param kdf=argon2id)")
	case p.argon.flavour != "Argon2id" && p.argon.flavour != "Argon2i":
		return fmt.Errorf("key derivation %q of a PuTTY key file is not supported", clip(p.argon.flavour))
	case uint64(p.argon.memory)*uint64(p.argon.passes) > maxArgonWork:
		return fmt.Errorf("the PuTTY key file wants %d passes over %d KiB for its passphrase, more than is done here", p.argon.passes, p.argon.memory)
	}
	return nil
}

// keys derives the cipher's key and vector, and the key of the MAC. Version 2
// has the MAC keyed with the passphrase and a constant, also where there is no
// passphrase; version 3 has it keyed with nothing then: anybody can make such a
// file, and the MAC shows damage only.
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
	// One derivation has all three: 32 bytes of key, 16 of vector, 32 for the MAC.
	derive := argon2.IDKey
	if p.argon.flavour == "Argon2i" {
		derive = argon2.Key
	}
	all := derive(passphrase, p.argon.salt, p.argon.passes, p.argon.memory, uint8(p.argon.threads), 80)
	return all[:32], all[32:48], all[48:]
}

// decrypt returns the private part, if passphrase is right and nobody has
// changed the file.
func (p *ppk) decrypt(passphrase []byte) ([]byte, error) {
	if p.encryption == "none" {
		passphrase = nil
	}
	// CBC is decrypted before the MAC is known to be right, for the MAC is of the
	// plain text; whoever could learn from the time has the file anyway.
	key, iv, macKey := p.keys(passphrase)
	blob := bytes.Clone(p.private)
	wrong := errors.New("the file is damaged, or was changed: its MAC is wrong")
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

// ppkKey returns the private key to a public one, of which blob has only what
// the public key has not. What follows in it is padding. Whether both belong
// together is checked here for RSA, and otherwise by the caller, who compares the
// public keys.
func ppkKey(public ssh.PublicKey, blob []byte) (any, error) {
	crypto, ok := public.(ssh.CryptoPublicKey)
	if !ok {
		return nil, fmt.Errorf("keys of type %q are not read from PuTTY key files", clip(public.Type()))
	}
	malformed := errors.New("malformed private key in the PuTTY key file")
	switch pub := crypto.CryptoPublicKey().(type) {
	case *rsa.PublicKey:
		var msg struct {
			D, P, Q, Iqmp *big.Int
			Rest          []byte `ssh:"rest"`
		}
		// The primes are bounded by the modulus, which ParsePublicKey has bounded.
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
	return nil, fmt.Errorf("keys of type %q are not read from PuTTY key files", clip(public.Type()))
}

// ppkReader reads lines of the form "Name: value". After the first error it
// returns nothing any more.
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

// line returns the next line, and nothing after the last.
func (r *ppkReader) line() (line string) {
	if len(r.lines) > 0 {
		line, r.lines = r.lines[0], r.lines[1:]
	}
	return line
}

// field returns the value of the next line, which must have that name.
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

// hex returns the bytes that the next line has in hexadecimal.
func (r *ppkReader) hex(name string) []byte {
	value, err := hex.DecodeString(r.field(name))
	if err != nil {
		r.fail(name)
	}
	return value
}

// blob returns what that many lines of base64 hold.
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
