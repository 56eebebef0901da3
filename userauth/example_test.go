package userauth_test

import (
	"context"
	"crypto/ed25519"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

// A program of its own passes the *transport.Conn on which the handshake has
// succeeded. Here a script stands for the server: it refuses the first key and
// lets the second one in.
func ExampleAuthenticate() {
	laptop, _ := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, 32)))
	backup, _ := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed([]byte("a seed that is thirty-two bytes.")))
	server := verdicts(failure("publickey"), success)

	err := userauth.Authenticate(context.Background(), server, &userauth.Config{
		User:    "bob",
		Methods: []userauth.Method{userauth.PublicKeys(laptop, backup)},
		Trace:   func(a userauth.Attempt) { fmt.Println(a) },
	})
	fmt.Println(err)
	// Output:
	// publickey ssh-ed25519 SHA256:tAXFyTXI8xtDaujAEcwJslAYc9/6FKcUkd2Lw0xDhPo: refused
	// publickey ssh-ed25519 SHA256:4uD7NRXIWjplg7whkx50yNEX2X2Ps73O2Oe6mFyzdaQ: success
	// <nil>
}

// Hostbased is RFC 4252 section 9: a host vouches for its user. Nothing in it
// differs from a method that this package has built in.
type Hostbased struct {
	Host     ssh.Signer // the host's key
	HostName string
	User     string // the name of the user on that host
}

func (Hostbased) Name() string { return "hostbased" }

func (m Hostbased) Try(_ context.Context, x *userauth.Exchange) (userauth.Reply, error) {
	if m.Host == nil {
		return userauth.Reply{}, fmt.Errorf("%w: no host key", userauth.ErrSkip)
	}
	key := m.Host.PublicKey()
	payload := ssh.Marshal(struct {
		Algorithm string
		Key       []byte
		HostName  string
		User      string
	}{key.Type(), key.Marshal(), m.HostName, m.User})
	signature, err := m.Host.Sign(nil, x.SignedData(payload))
	if err != nil {
		return userauth.Reply{}, err
	}
	return x.Prove(append(payload, ssh.Marshal(struct{ Signature []byte }{ssh.Marshal(signature)})...))
}

func ExampleMethod() {
	host, _ := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, 32)))
	server := verdicts(partial("password"), success)

	err := userauth.Authenticate(context.Background(), server, &userauth.Config{
		User: "bob",
		Methods: []userauth.Method{
			Hostbased{Host: host, HostName: "client.example.com.", User: "robert"},
			userauth.Password("sesame"),
		},
		Trace: func(a userauth.Attempt) { fmt.Println(a) },
	})
	fmt.Println(err)
	// Output:
	// hostbased: partial success
	// password: success
	// <nil>
}

// A command leaves with the proof that may let it in. If the connection is lost
// before the answer has come, nobody knows whether it has run.
func ExampleEarly() {
	open, exec := []byte{90 /* CHANNEL_OPEN … */}, []byte{98 /* CHANNEL_REQUEST … */}
	server := script([][]byte{success})

	early := &userauth.Early{Packets: func() [][]byte { return [][]byte{open, exec} }}
	err := userauth.Authenticate(context.Background(), server, &userauth.Config{
		User:    "bob",
		Methods: []userauth.Method{userauth.Password("sesame")},
		Early:   early,
	})
	switch {
	case early.Fate == userauth.Granted:
		fmt.Println("on its way:", err)
	case early.Fate == userauth.Doubtful:
		fmt.Println("perhaps it runs, perhaps not:", err)
	case err == nil:
		fmt.Println("logged in, and the command is still to be sent")
	default:
		fmt.Println("it does not run:", err)
	}
	// Output:
	// on its way: <nil>
}

// A program that remembers which key a server took is let in by the first
// request next time, however many keys there are.
func ExampleKeyName() {
	laptop, _ := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, 32)))
	backup, _ := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed([]byte("a seed that is thirty-two bytes.")))
	config := &userauth.Config{
		User:    "bob",
		Methods: []userauth.Method{userauth.PublicKeys(laptop, backup)},
	}
	config.Trace = func(a userauth.Attempt) {
		fmt.Println(a)
		if a.Err == nil && a.Status == userauth.Success {
			config.LastKey = userauth.KeyName(a.Key)
		}
	}
	first, second := verdicts(failure("publickey"), success), verdicts(success)
	fmt.Println(userauth.Authenticate(context.Background(), first, config))
	fmt.Println(userauth.Authenticate(context.Background(), second, config))
	// Output:
	// publickey ssh-ed25519 SHA256:tAXFyTXI8xtDaujAEcwJslAYc9/6FKcUkd2Lw0xDhPo: refused
	// publickey ssh-ed25519 SHA256:4uD7NRXIWjplg7whkx50yNEX2X2Ps73O2Oe6mFyzdaQ: success
	// <nil>
	// publickey ssh-ed25519 SHA256:4uD7NRXIWjplg7whkx50yNEX2X2Ps73O2Oe6mFyzdaQ: success
	// <nil>
}

// Everything that was tried is in the error, and so is what the server would
// have taken.
func ExampleError() {
	server := verdicts(failure("publickey", "keyboard-interactive"))
	err := userauth.Authenticate(context.Background(), server, &userauth.Config{
		User:    "bob",
		Methods: []userauth.Method{userauth.None(), userauth.Agent(nil), userauth.Password("sesame")},
	})
	fmt.Println(err)
	// Output:
	// userauth: user "bob" not authenticated: none: refused; publickey: skipped: there is no agent; password: skipped: not allowed by the server at this point; the server allows "publickey,keyboard-interactive"
}
