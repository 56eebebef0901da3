package identity_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"log"
	"testing/fstest"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/nacre-ssh/nacre/userauth/identity"
)

// deployment is an example of the README: one key is offered, from the agent or
// the file, however many other keys the agent has.
func deployment(ctx context.Context, file string, ask identity.PassphraseFunc) (userauth.Method, error) {
	keys, err := identity.Load(ctx, file, &identity.Options{Passphrase: ask})
	if err != nil {
		return nil, err
	}
	return identity.Method(&identity.Config{Keys: keys, Agent: identity.SystemAgent, IdentitiesOnly: true}), nil
}

// withAgent is an example of the README: a command finds our agent at the other end.
func withAgent(ctx context.Context, client *nacre.Client) ([]byte, error) {
	cmd := client.Command(ctx, "git fetch")
	cmd.ForwardAgent = identity.SystemAgent
	return cmd.CombinedOutput()
}

// encryptedKey makes a key, and a file of it with a passphrase.
func encryptedKey(passphrase string) (ssh.PublicKey, []byte) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	if err != nil {
		log.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		log.Fatal(err)
	}
	return key, pem.EncodeToMemory(block)
}

// The passphrase is asked for once, when the server has accepted the key.
func ExampleLoad() {
	key, file := encryptedKey("secret")
	server, err := sshtest.StartServer(&sshtest.Options{AuthorizedKeys: []ssh.PublicKey{key}})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	ctx := context.Background()
	keys, err := identity.Load(ctx, "id_ed25519", &identity.Options{
		FS: fstest.MapFS{"id_ed25519": {Data: file}},
		Passphrase: func(_ context.Context, r *identity.PassphraseRequest) ([]byte, error) {
			fmt.Println("passphrase for", r.File)
			return []byte("secret"), nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("loaded", keys[0].PublicKey().Type())
	for range 2 {
		out, err := nacre.Command(ctx, server.Target, &nacre.Config{
			HostKey: transport.FixedHostKey(server.HostKey), Auth: []userauth.Method{userauth.PublicKeys(keys...)},
		}, "echo hello").Output()
		fmt.Printf("%s%v\n", out, err)
	}
	// Output:
	// loaded ssh-ed25519
	// passphrase for id_ed25519
	// hello
	// <nil>
	// hello
	// <nil>
}

// Only the key in the .pub file is offered, of an agent with many keys.
func ExampleMethod() {
	keyring := agent.NewKeyring()
	for range 10 {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			log.Fatal(err)
		}
		if err := keyring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
			log.Fatal(err)
		}
	}
	all, err := keyring.List()
	if err != nil {
		log.Fatal(err)
	}
	server, err := sshtest.StartServer(&sshtest.Options{AuthorizedKeys: []ssh.PublicKey{all[7]}})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	ctx := context.Background()
	key, err := identity.Parse(ctx, "deploy.pub", []byte(all[7].String()), nil)
	if err != nil {
		log.Fatal(err)
	}
	client, err := nacre.Dial(ctx, server.Target, &nacre.Config{
		HostKey: transport.FixedHostKey(server.HostKey),
		Auth: []userauth.Method{identity.Method(&identity.Config{
			Keys: []ssh.Signer{key}, Agent: identity.InProcess(keyring), IdentitiesOnly: true,
		})},
		AuthTrace: func(a userauth.Attempt) { fmt.Println(a.Status, a.Err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	// Output: success <nil>
}
