package userauth_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth"
)

func TestOpenSSHTakesAHostsWord(t *testing.T) {
	for name, signer := range map[string]ssh.Signer{
		"ed25519": ed25519Signer(t), "ecdsa": ecdsaSigner(t), "rsa": rsaSigner(t),
	} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{
				Account: &sshtest.Account{Files: map[string]string{
					".shosts":          "client.example.com robert\n",
					".ssh/known_hosts": "client.example.com " + string(ssh.MarshalAuthorizedKey(signer.PublicKey())),
				}},
				Config: []string{"HostbasedAuthentication yes", "HostbasedUsesNameFromPacketOnly yes", "IgnoreRhosts no"},
			})
			with := func(host, user string, signers ...ssh.Signer) error {
				return userauth.Authenticate(t.Context(), connect(t, s), &userauth.Config{
					User: s.User, Methods: []userauth.Method{userauth.Hostbased(host, user, signers...)},
				})
			}
			require.NoError(t, with("client.example.com", "robert", signer))
			require.NoError(t, with("client.example.com.", "robert", ed25519Signer(t), signer), "as OpenSSH writes the name")
			for _, err := range []error{
				with("client.example.com", "mallory", signer),
				with("other.example.com", "robert", signer),
				with("client.example.com", "robert", ed25519Signer(t)),
			} {
				require.Equal(t, userauth.Failure, requireError(t, err).Tried[0].Status)
			}
		})
	}
}

// login runs methods against a real server.
func login(t *testing.T, s *sshtest.Server, methods ...userauth.Method) error {
	return userauth.Authenticate(t.Context(), connect(t, s), &userauth.Config{User: s.User, Methods: methods})
}

// says answers the prompts of keyboard-interactive with the texts, in order.
func says(texts ...string) userauth.Method {
	return userauth.KeyboardInteractive(func(_ context.Context, c userauth.Challenge) (answers []string, err error) {
		if len(c.Prompts) > len(texts) {
			return nil, userauth.ErrSkip
		}
		answers, texts = texts[:len(c.Prompts)], texts[len(c.Prompts):]
		return answers, nil
	})
}

func TestOpenSSHWithPasswords(t *testing.T) {
	for name, tc := range map[string]struct {
		config []string
		in     func(s *sshtest.Server) [][]userauth.Method
		out    func(s *sshtest.Server) [][]userauth.Method
	}{
		"any": {
			nil,
			func(s *sshtest.Server) [][]userauth.Method {
				return [][]userauth.Method{
					{userauth.Password(s.Password)}, {says(s.Password)}, {says("755224")},
					{userauth.Password("wrong"), says(s.Password)},
					{userauth.None(), userauth.PublicKeys(ed25519Signer(t)), userauth.Password(s.Password)},
					{userauth.PasswordFunc(func(_ context.Context, attempt int) (string, error) {
						return map[int]string{3: s.Password}[attempt], nil
					})},
				}
			},
			func(s *sshtest.Server) [][]userauth.Method {
				return [][]userauth.Method{{userauth.Password("wrong")}, {says("wrong")}, {says("755224")}}
			},
		},
		"keyboard-interactive only": {
			[]string{"PasswordAuthentication no"},
			func(s *sshtest.Server) [][]userauth.Method {
				return [][]userauth.Method{
					{userauth.Password(s.Password)}, {userauth.PublicKeys(ed25519Signer(t)), userauth.Password(s.Password)},
					{userauth.PasswordFunc(func(_ context.Context, attempt int) (string, error) {
						return map[int]string{2: s.Password}[attempt], nil
					})},
				}
			},
			func(s *sshtest.Server) [][]userauth.Method {
				return [][]userauth.Method{{userauth.Password("wrong")}, {userauth.Password(s.Password), says("wrong")}}
			},
		},
		"two ways of two factors": {
			[]string{"AuthenticationMethods publickey,password publickey,keyboard-interactive"},
			func(s *sshtest.Server) [][]userauth.Method {
				return [][]userauth.Method{
					{userauth.PublicKeys(s.Signer), userauth.Password(s.Password)},
					{userauth.Password(s.Password), userauth.PublicKeys(s.Signer)},
					{says(s.Password), userauth.PublicKeys(s.Signer)},
					{says("287082"), userauth.PublicKeys(ed25519Signer(t), s.Signer)},
					{userauth.PublicKeys(ed25519Signer(t)), userauth.PublicKeys(s.Signer), userauth.Password("wrong"), says(s.Password)},
				}
			},
			func(s *sshtest.Server) [][]userauth.Method {
				return [][]userauth.Method{
					{userauth.PublicKeys(s.Signer)}, {userauth.Password(s.Password)},
					{userauth.PublicKeys(s.Signer), userauth.Password("wrong")},
				}
			},
		},
		"three factors": {
			[]string{"AuthenticationMethods password,publickey,keyboard-interactive"},
			func(s *sshtest.Server) [][]userauth.Method {
				return [][]userauth.Method{
					{says(s.Password), userauth.PublicKeys(s.Signer), userauth.Password(s.Password)},
					{userauth.Password(s.Password), userauth.PublicKeys(s.Signer), says(s.Password)},
					{userauth.PublicKeys(s.Signer), userauth.Password(s.Password), says("359152")},
				}
			},
			func(s *sshtest.Server) [][]userauth.Method {
				return [][]userauth.Method{{userauth.Password(s.Password), userauth.PublicKeys(s.Signer)}}
			},
		},
		"key twice": {
			[]string{"AuthenticationMethods publickey,publickey,password"},
			func(s *sshtest.Server) [][]userauth.Method {
				return [][]userauth.Method{{userauth.Password(s.Password), userauth.PublicKeys(s.Signer), userauth.PublicKeys(rsaSigner(t))}}
			},
			func(s *sshtest.Server) [][]userauth.Method {
				return [][]userauth.Method{{userauth.Password(s.Password), userauth.PublicKeys(s.Signer), userauth.PublicKeys(s.Signer)}}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{
				Account:        &sshtest.Account{Codes: []string{"755224", "287082", "359152"}},
				AuthorizedKeys: []ssh.PublicKey{rsaSigner(t).PublicKey()},
				Config:         tc.config,
			})
			for i, methods := range tc.in(s) {
				require.NoError(t, login(t, s, methods...), i)
			}
			for i, methods := range tc.out(s) {
				e := requireError(t, login(t, s, methods...))
				require.NotContains(t, e.Error(), s.Password, i)
				require.NotContains(t, e.Error(), "wrong", i)
			}
		})
	}
}

// An expired password takes a conversation of several rounds with a person.
func TestOpenSSHWithAnExpiredPassword(t *testing.T) {
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{
		Account: &sshtest.Account{Expired: true}, Config: []string{"PasswordAuthentication no"},
	})
	e := requireError(t, login(t, s, userauth.Password(s.Password)))
	require.ErrorContains(t, e, "Current password:")
	require.ErrorContains(t, e, "skipped: the server asks for more than a password")
	require.NotContains(t, e.Error(), s.Password)

	var asked []string
	require.NoError(t, login(t, s, userauth.KeyboardInteractive(func(_ context.Context, c userauth.Challenge) (answers []string, err error) {
		for _, p := range c.Prompts {
			require.False(t, p.Echo)
			asked = append(asked, p.Text)
			if strings.Contains(p.Text, "ew password") {
				answers = append(answers, "quite another one")
			} else {
				answers = append(answers, s.Password)
			}
		}
		return answers, nil
	})))
	require.Len(t, asked, 4)
	require.NoError(t, login(t, s, userauth.Password("quite another one")))
}

// The next method is chosen by the answer of sshd.
func TestChooseAgainstOpenSSH(t *testing.T) {
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{
		Account: &sshtest.Account{Codes: []string{"755224"}},
		Config:  []string{"AuthenticationMethods publickey,password,keyboard-interactive"},
	})
	var way []string
	err := login(t, s, userauth.Choose(func(_ context.Context, p userauth.Progress) (userauth.Method, error) {
		methods := map[string]userauth.Method{
			"": userauth.None(), "publickey": userauth.PublicKeys(s.Signer),
			"password": userauth.Password(s.Password), "keyboard-interactive": says("755224"),
		}
		next := strings.Join(p.Allowed, ",")
		way = append(way, next)
		return methods[next], nil
	}))
	require.NoError(t, err)
	require.Equal(t, []string{"", "publickey", "password", "keyboard-interactive"}, way)
}

func TestServerOfXCryptoThatAsksForAPassword(t *testing.T) {
	s := sshtest.NewServer(t, &sshtest.Options{
		Factors:   []string{"keyboard-interactive"},
		Questions: []sshtest.Question{{Prompt: "Password: ", Answer: "sesame"}},
	})
	require.NoError(t, login(t, s, userauth.Password("sesame")))
	e := requireError(t, login(t, s, userauth.Password("wrong")))
	require.ErrorContains(t, e, `keyboard-interactive "Password:": refused`)

	two := sshtest.NewServer(t, &sshtest.Options{
		Factors:   []string{"keyboard-interactive"},
		Questions: []sshtest.Question{{Prompt: "Password: ", Answer: "sesame"}, {Prompt: "Code: ", Answer: "sesame"}},
	})
	require.ErrorContains(t, login(t, two, userauth.Password("sesame")), "the server asks for more than a password")
	require.NoError(t, login(t, two, userauth.Password("sesame"), says("sesame", "sesame")))
}
