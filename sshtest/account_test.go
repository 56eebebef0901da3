package sshtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

// typing answers each prompt of keyboard-interactive with the next of the texts.
func typing(texts ...string) ssh.AuthMethod {
	return ssh.KeyboardInteractive(func(_, _ string, prompts []string, _ []bool) (answers []string, err error) {
		for range prompts {
			answers, texts = append(answers, texts[0]), append(texts[1:], "")
		}
		return answers, nil
	})
}

func TestOpenSSHWithAnAccount(t *testing.T) {
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Account: &sshtest.Account{Codes: []string{"755224", "287082"}}})
	require.Equal(t, "pearl", s.User)
	with := func(m ssh.AuthMethod) error {
		_, err := dial(t, s, func(c *ssh.ClientConfig) { c.Auth = []ssh.AuthMethod{m} })
		return err
	}
	require.NoError(t, with(ssh.PublicKeys(s.Signer)))
	require.NoError(t, with(ssh.Password(s.Password)))
	require.NoError(t, with(typing(s.Password)))
	require.Error(t, with(ssh.Password("wrong")))
	require.Error(t, with(typing("")))
	require.NoError(t, with(typing("755224")))
	require.Error(t, with(typing("755224")), "a code is accepted once")
	require.NoError(t, with(ssh.Password("287082")))
}

func TestOpenSSHWithAnAccountThatIsExpired(t *testing.T) {
	s := sshtest.OpenSSH(t, &sshtest.DaemonOptions{Account: &sshtest.Account{Name: "coral", Expired: true}})
	_, err := dial(t, s, func(c *ssh.ClientConfig) {
		c.User = "coral"
		c.Auth = []ssh.AuthMethod{typing(s.Password, s.Password, "quite another one", "quite another one")}
	})
	require.NoError(t, err)
	_, err = dial(t, s, func(c *ssh.ClientConfig) { c.Auth = []ssh.AuthMethod{ssh.Password("quite another one")} })
	require.NoError(t, err)
}
