package sshtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

var questions = []sshtest.Question{
	{Prompt: "Colour? ", Echo: true, Answer: "pearl"},
	{Prompt: "Code: ", Answer: "1234"},
}

// answer is a client with the right answers.
func answer(_, _ string, prompts []string, echos []bool) ([]string, error) {
	var answers []string
	for i, p := range prompts {
		for _, q := range questions {
			if q.Prompt == p && q.Echo == echos[i] {
				answers = append(answers, q.Answer)
			}
		}
	}
	return answers, nil
}

func TestAuthentication(t *testing.T) {
	other := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	ca := sshtest.NewSigner(t, ssh.KeyAlgoECDSA384)
	key := func(k ssh.Signer) ssh.AuthMethod { return ssh.PublicKeys(k) }
	tests := map[string]struct {
		options sshtest.Options
		user    string
		auth    func(s *sshtest.Server) []ssh.AuthMethod
		denied  bool
	}{
		"password": {auth: func(s *sshtest.Server) []ssh.AuthMethod {
			return []ssh.AuthMethod{ssh.Password(s.Password)}
		}},
		"given password": {
			options: sshtest.Options{User: "root", Password: "toor"}, user: "root",
			auth: func(*sshtest.Server) []ssh.AuthMethod { return []ssh.AuthMethod{ssh.Password("toor")} },
		},
		"wrong password": {denied: true, auth: func(*sshtest.Server) []ssh.AuthMethod {
			return []ssh.AuthMethod{ssh.Password("")}
		}},
		"wrong user": {user: "mallory", denied: true, auth: func(s *sshtest.Server) []ssh.AuthMethod {
			return []ssh.AuthMethod{key(s.Signer), ssh.Password(s.Password), ssh.KeyboardInteractive(answer)}
		}, options: sshtest.Options{Questions: questions}},
		"authorized key": {
			options: sshtest.Options{AuthorizedKeys: []ssh.PublicKey{other.PublicKey()}},
			auth:    func(*sshtest.Server) []ssh.AuthMethod { return []ssh.AuthMethod{key(other)} },
		},
		"unknown key": {denied: true, auth: func(*sshtest.Server) []ssh.AuthMethod {
			return []ssh.AuthMethod{key(other)}
		}},
		"certificate": {
			options: sshtest.Options{UserCA: ca.PublicKey()},
			auth: func(s *sshtest.Server) []ssh.AuthMethod {
				return []ssh.AuthMethod{key(sshtest.NewCertSigner(t, ca, other, ssh.UserCert, s.User))}
			},
		},
		"another user's certificate": {
			options: sshtest.Options{UserCA: ca.PublicKey()}, denied: true,
			auth: func(s *sshtest.Server) []ssh.AuthMethod {
				return []ssh.AuthMethod{key(sshtest.NewCertSigner(t, ca, other, ssh.UserCert, "mallory"))}
			},
		},
		"another user with a certificate": {
			options: sshtest.Options{UserCA: ca.PublicKey()}, denied: true, user: "mallory",
			auth: func(s *sshtest.Server) []ssh.AuthMethod {
				return []ssh.AuthMethod{key(sshtest.NewCertSigner(t, ca, other, ssh.UserCert, "mallory"))}
			},
		},
		"certificate for nobody": {
			options: sshtest.Options{UserCA: ca.PublicKey()}, denied: true,
			auth: func(s *sshtest.Server) []ssh.AuthMethod {
				return []ssh.AuthMethod{key(sshtest.NewCertSigner(t, ca, other, ssh.UserCert))}
			},
		},
		"keyboard-interactive": {
			options: sshtest.Options{Questions: questions},
			auth: func(*sshtest.Server) []ssh.AuthMethod {
				return []ssh.AuthMethod{ssh.KeyboardInteractive(answer)}
			},
		},
		"none": {
			options: sshtest.Options{Factors: []string{"none"}},
			auth:    func(*sshtest.Server) []ssh.AuthMethod { return nil },
		},
		"three factors": {
			options: sshtest.Options{
				Questions: questions,
				Factors:   []string{"publickey", "keyboard-interactive", "password"},
			},
			auth: func(s *sshtest.Server) []ssh.AuthMethod {
				return []ssh.AuthMethod{ssh.Password(s.Password), ssh.KeyboardInteractive(answer), key(s.Signer)}
			},
		},
		"two of three factors": {
			options: sshtest.Options{
				Questions: questions,
				Factors:   []string{"publickey", "keyboard-interactive", "password"},
			}, denied: true,
			auth: func(s *sshtest.Server) []ssh.AuthMethod {
				return []ssh.AuthMethod{ssh.Password(s.Password), key(s.Signer)}
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := sshtest.NewServer(t, &test.options)
			_, err := dial(t, s, func(c *ssh.ClientConfig) {
				c.Auth = test.auth(s)
				if test.user != "" {
					c.User = test.user
				}
			})
			if test.denied {
				require.ErrorContains(t, err, "unable to authenticate")
				require.NoError(t, s.Close())
				require.Contains(t, s.Log(), "handshake: ")
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func TestBannerIsShown(t *testing.T) {
	s := sshtest.NewServer(t, &sshtest.Options{Banner: "Keep out.\n"})
	var shown string
	login(t, s, func(c *ssh.ClientConfig) {
		c.BannerCallback = func(message string) error {
			shown = message
			return nil
		}
	})
	require.Equal(t, "Keep out.\n", shown)
}

func TestMaxAuthTries(t *testing.T) {
	s := sshtest.NewServer(t, &sshtest.Options{MaxAuthTries: 2})
	tries := 0
	_, err := dial(t, s, func(c *ssh.ClientConfig) {
		wrong := ssh.PasswordCallback(func() (string, error) {
			tries++
			return "wrong", nil
		})
		c.Auth = []ssh.AuthMethod{ssh.RetryableAuthMethod(wrong, 10)}
	})
	require.Error(t, err)
	require.Equal(t, 2, tries)
}

func TestUnknownFactorIsAnError(t *testing.T) {
	for want, factors := range map[string][]string{
		`sshtest: unknown factor "retina"`: {"publickey", "retina"},
		`sshtest: unknown factor "none"`:   {"none", "publickey"},
		"sshtest: Options.Factors has keyboard-interactive, but Options.Questions is empty": {"keyboard-interactive"},
	} {
		_, err := sshtest.StartServer(&sshtest.Options{Factors: factors})
		require.EqualError(t, err, want)
	}
}
