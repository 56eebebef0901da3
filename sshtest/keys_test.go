package sshtest_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
)

func TestHostCertificates(t *testing.T) {
	ca := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
	for name, s := range map[string]*sshtest.Server{
		"InProcess": sshtest.NewServer(t, &sshtest.Options{HostCA: ca}),
		"OpenSSH":   sshtest.OpenSSH(t, &sshtest.DaemonOptions{HostCA: ca}),
	} {
		t.Run(name, func(t *testing.T) {
			login(t, s, func(c *ssh.ClientConfig) {
				c.HostKeyAlgorithms = []string{ssh.CertAlgoED25519v01}
				check := &ssh.CertChecker{IsHostAuthority: func(key ssh.PublicKey, _ string) bool {
					return bytes.Equal(key.Marshal(), ca.PublicKey().Marshal())
				}}
				c.HostKeyCallback = check.CheckHostKey
			})
			login(t, s, nil)
		})
	}
}

func TestSignersAreOfTheirType(t *testing.T) {
	for _, keyType := range []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA,
	} {
		require.Equal(t, keyType, sshtest.NewSigner(t, keyType).PublicKey().Type())
	}
}
