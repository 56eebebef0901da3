package sshtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"
)

// errDenied answers every failed attempt.
var errDenied = errors.New("sshtest: permission denied")

// serverConfig translates the options for x/crypto. An error stands for
// options that contradict each other.
func (s *Server) serverConfig(o *Options) (*ssh.ServerConfig, error) {
	config := &ssh.ServerConfig{
		Config:                  o.Config,
		MaxAuthTries:            o.MaxAuthTries,
		PublicKeyAuthAlgorithms: o.PublicKeyAuthAlgorithms,
		ServerVersion:           o.Version,
		AuthLogCallback: func(conn ssh.ConnMetadata, method string, err error) {
			fmt.Fprintf(&s.log, "auth %s for %q: %v\n", method, conn.User(), err)
		},
	}
	if o.Banner != "" {
		config.BannerCallback = func(ssh.ConnMetadata) string { return o.Banner }
	}
	for _, k := range o.HostKeys {
		config.AddHostKey(k)
		if o.HostCA == nil {
			continue
		}
		cert, err := newCertificate(o.HostCA, k.PublicKey(), ssh.HostCert, "127.0.0.1", "localhost")
		if err != nil {
			return nil, err
		}
		certSigner, err := ssh.NewCertSigner(cert, k)
		if err != nil {
			return nil, fmt.Errorf("sshtest: %w", err)
		}
		config.AddHostKey(certSigner)
	}
	if slices.Equal(o.Factors, []string{"none"}) {
		config.NoClientAuth = true
		return config, nil
	}
	first, err := s.factors(o, o.Factors)
	if err != nil {
		return nil, err
	}
	config.PasswordCallback = first.PasswordCallback
	config.PublicKeyCallback = first.PublicKeyCallback
	config.KeyboardInteractiveCallback = first.KeyboardInteractiveCallback
	return config, nil
}

// factors returns the callbacks for the first of the methods still required,
// or for any method if none is required.
func (s *Server) factors(o *Options, methods []string) (ssh.ServerAuthCallbacks, error) {
	all := ssh.ServerAuthCallbacks{
		PasswordCallback:            s.checkPassword,
		PublicKeyCallback:           s.keyCallback(o),
		KeyboardInteractiveCallback: s.asker(o.Questions),
	}
	if len(methods) == 0 {
		if len(o.Questions) == 0 {
			all.KeyboardInteractiveCallback = nil
		}
		return all, nil
	}
	next := func() error { return nil }
	if rest := methods[1:]; len(rest) > 0 {
		callbacks, err := s.factors(o, rest)
		if err != nil {
			return callbacks, err
		}
		next = func() error { return &ssh.PartialSuccessError{Next: callbacks} }
	}
	var one ssh.ServerAuthCallbacks
	switch methods[0] {
	case "password":
		one.PasswordCallback = func(conn ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			return then(next)(all.PasswordCallback(conn, password))
		}
	case "publickey":
		one.PublicKeyCallback = func(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			return then(next)(all.PublicKeyCallback(conn, key))
		}
	case "keyboard-interactive":
		if len(o.Questions) == 0 {
			return one, errors.New("sshtest: Options.Factors has keyboard-interactive, but Options.Questions is empty")
		}
		one.KeyboardInteractiveCallback = func(conn ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			return then(next)(all.KeyboardInteractiveCallback(conn, ask))
		}
	default:
		return one, fmt.Errorf("sshtest: unknown factor %q", methods[0])
	}
	return one, nil
}

// then adds the result of next to a success.
func then(next func() error) func(*ssh.Permissions, error) (*ssh.Permissions, error) {
	return func(p *ssh.Permissions, err error) (*ssh.Permissions, error) {
		if err == nil {
			err = next()
		}
		return p, err
	}
}

// checkPassword lets in the only user with the only password. The answer to a
// wrong user is the same as to a wrong password.
func (s *Server) checkPassword(conn ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
	if conn.User() != s.User || string(password) != s.Password {
		return nil, errDenied
	}
	return nil, nil
}

// keyCallback lets in the only user. x/crypto's checker accepts certificates
// without principals for anybody, so keyCallback refuses those.
func (s *Server) keyCallback(o *Options) func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
	checker := s.keyChecker(o)
	return func(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		cert, ok := key.(*ssh.Certificate)
		if conn.User() != s.User || ok && len(cert.ValidPrincipals) == 0 {
			return nil, errDenied
		}
		return checker.Authenticate(conn, key)
	}
}

// keyChecker accepts the keys and the certificates of the options.
func (s *Server) keyChecker(o *Options) *ssh.CertChecker {
	return &ssh.CertChecker{
		IsUserAuthority: func(key ssh.PublicKey) bool {
			return o.UserCA != nil && equal(key, o.UserCA)
		},
		UserKeyFallback: func(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if conn.User() != s.User {
				return nil, errDenied
			}
			if equal(key, s.Signer.PublicKey()) {
				return nil, nil
			}
			for _, k := range o.AuthorizedKeys {
				if equal(key, k) {
					return nil, nil
				}
			}
			return nil, errDenied
		},
	}
}

// equal compares keys by their wire format, since implementations of
// ssh.PublicKey differ.
func equal(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// asker asks all questions in one request, and wants every answer right.
func (s *Server) asker(questions []Question) func(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	var prompts []string
	var echos []bool
	for _, q := range questions {
		prompts = append(prompts, q.Prompt)
		echos = append(echos, q.Echo)
	}
	return func(conn ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		answers, err := ask("", "", prompts, echos)
		if err != nil {
			return nil, err
		}
		if conn.User() != s.User || len(answers) != len(questions) {
			return nil, errDenied
		}
		for i, q := range questions {
			if answers[i] != q.Answer {
				return nil, errDenied
			}
		}
		return nil, nil
	}
}
