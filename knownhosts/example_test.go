package knownhosts_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// hostKey is the content of a file ssh_host_ed25519_key.pub.
const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

func ExampleParse() {
	d := knownhosts.Parse("inventory", []byte("*.example.com,!old.example.com "+hostKey+"\nnonsense\n"))
	for _, err := range d.Skipped() {
		fmt.Println(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(hostKey))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.HostKeyAlgorithms("www.example.com:22"))
	fmt.Println(d.VerifyHostKey(context.Background(), "www.example.com:22", nil, key))

	err = d.VerifyHostKey(context.Background(), "old.example.com:22", nil, key)
	var refusal *knownhosts.KeyError
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Kind, ssh.FingerprintSHA256(refusal.Key))
	}
	// Output:
	// knownhosts: inventory:2: lacks a host name, a key type or a key
	// [ssh-ed25519]
	// <nil>
	// unknown SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA
}

func ExampleFingerprint() {
	pin, err := knownhosts.Fingerprint("SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA")
	if err != nil {
		fmt.Println(err)
		return
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(hostKey))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(pin.VerifyHostKey(context.Background(), "anything:22", nil, key))
	// Output: <nil>
}

// policy is the section on host keys of the README.
func policy(file, systemFile, revoked string) (*knownhosts.Policy, error) {
	mine, err := knownhosts.Load(file)
	if err != nil {
		return nil, err
	}
	system, err := knownhosts.Load(systemFile)
	if err != nil {
		return nil, err
	}
	list, err := knownhosts.LoadRevocations(revoked) // a KRL, or public keys
	if err != nil {
		return nil, err
	}
	return &knownhosts.Policy{
		Sources:               []knownhosts.Source{mine, system, list},
		StrictHostKeyChecking: knownhosts.StrictAcceptNew,
		UpdateHostKeys:        knownhosts.UpdateYes,
		Trace:                 func(c knownhosts.Change) { log.Print(c) },
	}, nil
}

func ExamplePolicy() {
	dir, err := os.MkdirTemp("", "knownhosts")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file, revoked := filepath.Join(dir, "known_hosts"), filepath.Join(dir, "revoked")
	if err := os.WriteFile(revoked, nil, 0o600); err != nil {
		log.Fatal(err)
	}
	p, err := policy(file, "/etc/ssh/no_such_file", revoked)
	if err != nil {
		log.Fatal(err)
	}
	p.Trace = func(c knownhosts.Change) { fmt.Println(strings.ReplaceAll(c.String(), dir, "~/.ssh")) }
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(hostKey))
	if err != nil {
		log.Fatal(err)
	}

	// nacre.Dial calls VerifyHostKey in the handshake, and LearnHostKey when the
	// user is authenticated.
	fmt.Println(p.VerifyHostKey(context.Background(), "www.example.com:22", nil, key))
	fmt.Println(p.LearnHostKey(context.Background(), "www.example.com:22", nil, key))

	content, err := os.ReadFile(file)
	fmt.Printf("%s%v\n", content, err)
	// Output:
	// <nil>
	// recorded ssh-ed25519 SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA of www.example.com in ~/.ssh/known_hosts
	// <nil>
	// www.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
	// <nil>
}
