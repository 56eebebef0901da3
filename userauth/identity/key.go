package identity

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

// maxPassphrases is how often a passphrase is asked for, as in OpenSSH.
const maxPassphrases = 3

// PassphraseRequest says which key a passphrase is for.
type PassphraseRequest struct {
	File    string        // as it was named to Load or Parse
	Key     ssh.PublicKey // nil where the file hides it: encrypted PEM without a .pub beside
	Attempt int           // 1, and up to 3 after wrong ones
}

// PassphraseFunc asks for the passphrase of a key file. An error, or an empty
// passphrase, ends the asking: the key is of no use in this login, and the next
// one is tried. What it returns is overwritten with zeros after use.
//
// It runs on a goroutine of the login's, one at a time for each key, however
// many logins need it. ctx ends with the login.
type PassphraseFunc func(ctx context.Context, request *PassphraseRequest) ([]byte, error)

// key is a key of a file's, or a certificate for one, as a signer.
type key struct {
	public ssh.PublicKey
	secret *secret // shared by a key and its certificates
	beside error   // why the file of the certificate is of no use; nil: it is, or there is none
}

var (
	_ ssh.MultiAlgorithmSigner   = (*key)(nil)
	_ userauth.InteractiveSigner = (*key)(nil)
)

func (k *key) PublicKey() ssh.PublicKey { return k.public }

// Algorithms returns what the key can do. That RSA does not sign with SHA-1
// unless told to is up to who asks for signatures.
func (k *key) Algorithms() []string {
	if s, ok := k.secret.unlocked().(ssh.MultiAlgorithmSigner); ok {
		return s.Algorithms()
	}
	return algorithms(plain(k.public).Type())
}

// algorithms returns those of a type of key. That of the other types has its name.
func algorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}
	}
	return []string{keyType}
}

// Interactive tells whether the passphrase is still to be asked for.
func (k *key) Interactive() bool { return k.secret.interactive() }

func (k *key) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignContext(context.Background(), data, plain(k.public).Type())
}

// SignWithAlgorithm asks for the passphrase too, where it has to: other clients
// know no better. A login does not call it then.
func (k *key) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if s, ok := k.secret.unlocked().(ssh.AlgorithmSigner); ok {
		return s.SignWithAlgorithm(rand, data, algorithm)
	}
	return k.SignContext(context.Background(), data, algorithm)
}

// SignContext signs once the file is open.
func (k *key) SignContext(ctx context.Context, data []byte, algorithm string) (*ssh.Signature, error) {
	signer, err := k.secret.unlock(ctx)
	if err != nil {
		return nil, err
	}
	return sign(ctx, signer, data, algorithm)
}

// sign has any signer sign, with the most that it can be told.
func sign(ctx context.Context, signer ssh.Signer, data []byte, algorithm string) (*ssh.Signature, error) {
	switch s := signer.(type) {
	case userauth.InteractiveSigner:
		return s.SignContext(ctx, data, algorithm)
	case ssh.AlgorithmSigner:
		return s.SignWithAlgorithm(rand.Reader, data, algorithm)
	}
	return signer.Sign(rand.Reader, data)
}

// secret is the private half of a key, which stays in its encryption until a
// signature is wanted.
type secret struct {
	file    string
	public  ssh.PublicKey // never a certificate
	missing error         // why there is no private key here; nil: there is one
	open    func(passphrase []byte) (ssh.Signer, error)
	ask     PassphraseFunc

	asking chan struct{} // holds a token while somebody asks for the passphrase

	mu     sync.Mutex
	signer ssh.Signer // nil as long as it is locked
}

// signedBy returns a secret that another signer has.
func signedBy(signer ssh.Signer) *secret {
	return &secret{public: plain(signer.PublicKey()), signer: signer}
}

// unlocked returns the signer, or nil while the passphrase is not known.
func (s *secret) unlocked() ssh.Signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signer
}

// locked tells whether there is no private key at hand, be it encrypted or not
// there at all.
func (s *secret) locked() bool { return s.unlocked() == nil }

func (s *secret) interactive() bool {
	signer := s.unlocked()
	if i, ok := signer.(userauth.InteractiveSigner); ok {
		return i.Interactive()
	}
	return signer == nil && s.missing == nil
}

// unlock returns the signer, once somebody has given the passphrase.
func (s *secret) unlock(ctx context.Context) (ssh.Signer, error) {
	if s.missing != nil {
		return nil, s.missing
	}
	if signer := s.unlocked(); signer != nil {
		return signer, nil
	}
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if signer := s.unlocked(); signer != nil { // somebody else was faster
		return signer, nil
	}
	return s.decrypt(ctx)
}

// decrypt asks for the passphrase until it is right.
func (s *secret) decrypt(ctx context.Context) (ssh.Signer, error) {
	if s.ask == nil {
		return nil, fmt.Errorf("identity: %s: encrypted, and nobody is there to give the passphrase: Options.Passphrase is not set", s.file)
	}
	for attempt := 1; attempt <= maxPassphrases; attempt++ {
		passphrase, err := s.ask(ctx, &PassphraseRequest{File: s.file, Key: s.public, Attempt: attempt})
		if err != nil {
			return nil, fmt.Errorf("identity: %s: no passphrase: %w", s.file, err)
		}
		if len(passphrase) == 0 {
			return nil, fmt.Errorf("identity: %s: no passphrase was given", s.file)
		}
		// Copies that x/crypto makes of it, and the key itself, stay in memory
		// until they are collected: nobody can zero those.
		signer, err := s.open(passphrase)
		clear(passphrase)
		switch {
		case errors.Is(err, x509.IncorrectPasswordError):
			continue
		case err != nil:
			return nil, fmt.Errorf("identity: %s: %w", s.file, err)
		}
		return signer, s.accept(signer)
	}
	return nil, fmt.Errorf("identity: %s: %d wrong passphrases", s.file, maxPassphrases)
}

// accept takes what was decrypted for the private key, if it is that of the
// public key that was known before.
func (s *secret) accept(signer ssh.Signer) error {
	if s.public != nil && !same(signer.PublicKey(), s.public) {
		return fmt.Errorf("identity: %s: the private key is of %s, and not of the public key in or beside the file, %s",
			s.file, ssh.FingerprintSHA256(signer.PublicKey()), ssh.FingerprintSHA256(s.public))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.public, s.signer, s.open = signer.PublicKey(), signer, nil
	return nil
}
