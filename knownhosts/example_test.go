package knownhosts_test

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// The key of a host, as its ssh_host_ed25519_key.pub holds it.
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
