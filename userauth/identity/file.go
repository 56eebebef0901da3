package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
)

// maxFile and maxPrivate bound a key file, in bytes. Certificates may name many
// principals; files of private keys are far smaller.
const (
	maxFile    = 1 << 20
	maxPrivate = 16 << 10
)

// Options say how keys are loaded. nil is the zero Options.
type Options struct {
	// FS has the files; nil is the operating system's.
	FS fs.FS

	// Passphrase is asked for the passphrase of an encrypted key. With nil, an
	// encrypted key is loaded and cannot sign, but an agent with the key may.
	Passphrase PassphraseFunc

	// InsecurePermissions accepts private keys that others can read. By default,
	// as in OpenSSH, such keys are refused with a [*PermissionError].
	InsecurePermissions bool
}

// PermissionError reports a private key that belongs to this user and that others
// may read or write. Windows and the file systems of Options.FS have none.
type PermissionError struct {
	File string
	Mode fs.FileMode
}

func (e *PermissionError) Error() string {
	return fmt.Sprintf("identity: %s: others may read or write the private key (%#o): use chmod 600",
		e.File, e.Mode.Perm())
}

// Load loads the key of a file, and then the certificate "name-cert.pub" beside
// the file. A certificate that cannot be read or is not for users is left out,
// and named in the error of a login by [Method]. Load reads files of OpenSSH, PEM
// (PKCS#1, PKCS#8 without encryption, EC) and PuTTY (PPK 2 and 3). DSA is not
// supported.
//
// The name may also be the name of a public key, of a certificate, or of a missing
// private key with "name.pub" beside. The signer is then for [Config].Keys, where
// the agent signs.
//
// Encrypted keys are opened when they are to sign. The passphrase is asked for at
// once only if the file hides the public key and there is no "name.pub", as with
// some old PEM files. The end of ctx ends the asking.
func Load(ctx context.Context, name string, options *Options) ([]ssh.Signer, error) {
	o := options.orDefault()
	k, certified, err := o.load(ctx, name)
	if err != nil {
		return nil, err
	}
	signers := []ssh.Signer{k}
	if certified != nil {
		return append(signers, certified), nil
	}
	beside, err := o.certificate(name+"-cert.pub", k)
	switch {
	case err == nil:
		signers = append(signers, beside)
	case !errors.Is(err, fs.ErrNotExist):
		k.beside = err
	}
	return signers, nil
}

// Parse makes a signer of the content of a key file, as [Load] does. Errors and
// requests for the passphrase call the file name. A PuTTY file with a certificate
// makes a signer with the certificate.
func Parse(ctx context.Context, name string, data []byte, options *Options) (ssh.Signer, error) {
	k, certified, err := options.orDefault().parse(ctx, name, bytes.Clone(data), nil)
	switch {
	case err != nil:
		return nil, err
	case certified != nil:
		return certified, nil
	}
	return k, nil
}

func (o *Options) orDefault() *Options {
	if o == nil {
		return new(Options)
	}
	return o
}

// load loads the key, and the certificate in the same file.
func (o *Options) load(ctx context.Context, name string) (k, certified *key, err error) {
	data, info, err := o.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		if public, pubErr := o.public(name + ".pub"); pubErr == nil {
			return publicOnly(name, public), nil, nil
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if isPrivate(data) && !o.InsecurePermissions && exposed(info) {
		return nil, nil, &PermissionError{File: name, Mode: info.Mode()}
	}
	return o.parse(ctx, name, data, func() (ssh.PublicKey, error) { return o.public(name + ".pub") })
}

// parse makes a key of the content of a file, and owns data. beside, unless nil,
// looks for the public key where the file hides the public key.
func (o *Options) parse(ctx context.Context, name string, data []byte, beside func() (ssh.PublicKey, error)) (k, certified *key, err error) {
	if !isPrivate(data) {
		public, err := parsePublic(data)
		if err != nil {
			return nil, nil, fmt.Errorf("identity: %s: the file has neither a private key of OpenSSH, PEM or PuTTY nor a public key", name)
		}
		return publicOnly(name, public), nil, nil
	}
	f, err := parsePrivate(data)
	if err != nil {
		return nil, nil, fmt.Errorf("identity: %s: %w", name, err)
	}
	s := &secret{file: name, public: f.public, missing: f.missing, open: f.open, ask: o.Passphrase, asking: make(chan struct{}, 1)}
	switch {
	case f.missing != nil:
		s.missing = fmt.Errorf("identity: %s: %w", name, f.missing)
	case !f.encrypted:
		signer, err := f.open(nil)
		clear(data)
		if err != nil {
			return nil, nil, fmt.Errorf("identity: %s: %w", name, err)
		}
		if err := s.accept(signer); err != nil {
			return nil, nil, err
		}
	case f.public == nil:
		if err := s.reveal(ctx, beside); err != nil {
			return nil, nil, err
		}
	}
	if f.certificate != nil {
		certified = &key{public: f.certificate, secret: s}
	}
	return &key{public: s.public, secret: s}, certified, nil
}

// reveal finds the public key of a file that hides the public key.
func (s *secret) reveal(ctx context.Context, beside func() (ssh.PublicKey, error)) error {
	if beside != nil {
		public, err := beside()
		if err == nil {
			s.public = sshkey.Plain(public)
			return nil
		}
	}
	if s.ask == nil {
		return fmt.Errorf("identity: %s: encrypted PEM hides the public key: "+
			"put the public key beside the file (ssh-keygen -y -f %[1]s > %[1]s.pub), or set Options.Passphrase", s.file)
	}
	_, err := s.unlock(ctx)
	return err
}

// publicOnly returns a key with only a public half.
func publicOnly(name string, public ssh.PublicKey) *key {
	missing := fmt.Errorf("identity: %s: the private key is not here; an agent must sign", name)
	return &key{public: public, secret: &secret{file: name, public: sshkey.Plain(public), missing: missing}}
}

// certificate loads the certificate beside k. A certificate of another key, left
// over from before k was replaced, waits for its own key.
func (o *Options) certificate(name string, k *key) (*key, error) {
	public, err := o.public(name)
	if err != nil {
		return nil, err
	}
	cert, ok := public.(*ssh.Certificate)
	switch {
	case !ok:
		return nil, fmt.Errorf("identity: %s: the file has a plain key instead of a certificate", name)
	case cert.CertType != ssh.UserCert:
		return nil, fmt.Errorf("identity: %s: the certificate is for hosts, not for users", name)
	case !sshkey.Equal(cert.Key, sshkey.Plain(k.public)):
		other := publicOnly(name, cert)
		other.secret.missing = fmt.Errorf("identity: %s: the certificate is for the key %s, not for the key of %s, %s", name,
			ssh.FingerprintSHA256(cert.Key), k.secret.file, ssh.FingerprintSHA256(sshkey.Plain(k.public)))
		return other, nil
	}
	return &key{public: cert, secret: k.secret}, nil
}

// public loads a public key or a certificate.
func (o *Options) public(name string) (ssh.PublicKey, error) {
	data, _, err := o.read(name)
	if err != nil {
		return nil, err
	}
	public, err := parsePublic(data)
	if err != nil {
		return nil, fmt.Errorf("identity: %s: the file is not a public key", name)
	}
	return public, nil
}

// parsePublic parses a line of the type, the key and a comment. A line with more
// in front belongs to authorized_keys or known_hosts.
func parsePublic(data []byte) (ssh.PublicKey, error) {
	public, _, options, _, err := ssh.ParseAuthorizedKey(data)
	if err == nil && len(options) > 0 {
		err = errors.New("not a file of one public key")
	}
	return public, err
}

// read reads a file. A stat comes before the open, because opening a FIFO waits
// for a writer.
func (o *Options) read(name string) ([]byte, fs.FileInfo, error) {
	stat, open := os.Stat, func(name string) (fs.File, error) { return os.Open(name) }
	if o.FS != nil {
		stat, open = func(name string) (fs.FileInfo, error) { return fs.Stat(o.FS, name) }, o.FS.Open
	}
	info, err := stat(name)
	if err != nil {
		return nil, nil, fmt.Errorf("identity: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("identity: %s: the file is not a regular file", name)
	}
	f, err := open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("identity: %w", err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil { // of the file that is read
		return nil, nil, fmt.Errorf("identity: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("identity: %w", err)
	}
	if len(data) > maxFile {
		return nil, nil, fmt.Errorf("identity: %s: the file is larger than a key file can be, 1 MiB", name)
	}
	return data, info, nil
}
