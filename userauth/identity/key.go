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

	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/internal/sshkey"
	"github.com/nacre-ssh/nacre/userauth"
)

// maxPassphrases bounds the requests for a passphrase, as in OpenSSH.
const maxPassphrases = 3

// PassphraseRequest says which key a passphrase is for.
type PassphraseRequest struct {
	File    string        // the name given to Load or Parse
	Key     ssh.PublicKey // nil where the file hides the key: encrypted PEM without a .pub beside
	Attempt int           // 1, and up to 3 after wrong passphrases
}

// PassphraseFunc asks for the passphrase of a key file. An error, or an empty
// passphrase, ends the asking: the key is of no use in this login, and the next
// key is tried. The passphrase is overwritten with zeros after use.
//
// A PassphraseFunc runs on a goroutine of the login's, one at a time for each key,
// however many logins need the key. ctx ends with the login.
type PassphraseFunc func(ctx context.Context, request *PassphraseRequest) ([]byte, error)

// key is a signer whose key or certificate comes from a file.
type key struct {
	public ssh.PublicKey
	secret *secret // shared by a key and its certificates
	beside error   // why the certificate file beside the key is of no use, or nil
}

var (
	_ ssh.MultiAlgorithmSigner   = (*key)(nil)
	_ userauth.InteractiveSigner = (*key)(nil)
)

func (k *key) PublicKey() ssh.PublicKey { return k.public }

// Algorithms returns the signature algorithms of the key. Avoiding SHA-1 with RSA
// is the caller's task.
func (k *key) Algorithms() []string {
	if s, ok := k.secret.unlocked().(ssh.MultiAlgorithmSigner); ok {
		return s.Algorithms()
	}
	return algorithms(sshkey.Plain(k.public).Type())
}

// Interactive reports whether the passphrase is still unknown.
func (k *key) Interactive() bool { return k.secret.interactive() }

func (k *key) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignContext(context.Background(), data, sshkey.Plain(k.public).Type())
}

// SignWithAlgorithm asks for an unknown passphrase too, for callers that know no
// SignContext. A login calls SignWithAlgorithm only if Interactive is false.
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

// sign lets signer sign, by the most capable of its methods.
func sign(ctx context.Context, signer ssh.Signer, data []byte, algorithm string) (*ssh.Signature, error) {
	switch s := signer.(type) {
	case userauth.InteractiveSigner:
		return s.SignContext(ctx, data, algorithm)
	case ssh.AlgorithmSigner:
		return s.SignWithAlgorithm(rand.Reader, data, algorithm)
	}
	return signer.Sign(rand.Reader, data)
}

// secret is the private half of a key, which stays encrypted until a signature is
// wanted.
type secret struct {
	file    string
	public  ssh.PublicKey // never a certificate
	missing error         // why there is no private key, or nil
	open    func(passphrase []byte) (ssh.Signer, error)
	ask     PassphraseFunc

	asking chan struct{} // holds a token while somebody asks for the passphrase

	mu     sync.Mutex
	signer ssh.Signer // nil while locked
}

// signedBy returns the secret of another signer.
func signedBy(signer ssh.Signer) *secret {
	return &secret{public: sshkey.Plain(signer.PublicKey()), signer: signer}
}

// unlocked returns the signer, or nil while the passphrase is unknown.
func (s *secret) unlocked() ssh.Signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signer
}

// locked reports whether the private key is encrypted or missing.
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
		return nil, ctxerr.Of(ctx)
	}
	if signer := s.unlocked(); signer != nil { // somebody else was faster
		return signer, nil
	}
	return s.decrypt(ctx)
}

// decrypt asks for the passphrase until the passphrase is right.
func (s *secret) decrypt(ctx context.Context) (ssh.Signer, error) {
	if s.ask == nil {
		return nil, fmt.Errorf("identity: %s: the key is encrypted, and Options.Passphrase is not set", s.file)
	}
	for attempt := 1; attempt <= maxPassphrases; attempt++ {
		passphrase, err := s.ask(ctx, &PassphraseRequest{File: s.file, Key: s.public, Attempt: attempt})
		if err != nil {
			if ctx.Err() != nil {
				err = ctxerr.Of(ctx)
			}
			return nil, fmt.Errorf("identity: %s: no passphrase: %w", s.file, err)
		}
		if len(passphrase) == 0 {
			return nil, fmt.Errorf("identity: %s: the passphrase given is empty", s.file)
		}
		// Copies made by x/crypto, and the key, stay in memory until they are
		// collected: nobody can zero them.
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
	return nil, fmt.Errorf("identity: %s: all %d passphrases given were wrong", s.file, maxPassphrases)
}

// accept takes the decrypted key as the private key, if the public key that was
// known before matches.
func (s *secret) accept(signer ssh.Signer) error {
	if s.public != nil && !sshkey.Equal(signer.PublicKey(), s.public) {
		return fmt.Errorf("identity: %s: the private key of %s does not match the public key in or beside the file, %s",
			s.file, ssh.FingerprintSHA256(signer.PublicKey()), ssh.FingerprintSHA256(s.public))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.public, s.signer, s.open = signer.PublicKey(), signer, nil
	return nil
}
