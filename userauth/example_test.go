package userauth_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

// A program passes the *transport.Conn on which the handshake has succeeded. Here
// a script stands for the server: the first key is refused, the second accepted.
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

// tracing prints the number of each packet. A program embeds *transport.Conn
// instead: the optional powers are promoted, and packets of a flight still leave
// together.
type tracing struct{ userauth.Transport }

func (t tracing) WritePacket(packet []byte) error {
	fmt.Println("sent", packet[0])
	return t.Transport.WritePacket(packet)
}

func (t tracing) ReadPacket() ([]byte, error) {
	packet, err := t.Transport.ReadPacket()
	if err == nil {
		fmt.Println("received", packet[0])
	}
	return packet, err
}

// A type that embeds a transport and overrides two methods sees each packet.
func ExampleTransport() {
	server := verdicts(failure("password"), success)
	err := userauth.Authenticate(context.Background(), tracing{server}, &userauth.Config{
		User:    "bob",
		Methods: []userauth.Method{userauth.None(), userauth.Password("sesame")},
	})
	fmt.Println(err)
	// Output:
	// sent 50
	// received 51
	// sent 50
	// received 52
	// <nil>
}

// Ticket is a method written outside of the package: a ticket from a service, and
// a signature that binds the ticket to this session. The methods of the package
// are built in the same way.
type Ticket struct {
	Issue func(ctx context.Context, user string) (string, error)
	Key   ssh.Signer
}

func (Ticket) Name() string { return "ticket@example.com" }

func (m Ticket) Try(ctx context.Context, x *userauth.Exchange) (userauth.Reply, error) {
	if x.State != nil || m.Issue == nil {
		return userauth.Reply{}, fmt.Errorf("%w: no ticket", userauth.ErrSkip)
	}
	ticket, err := m.Issue(ctx, x.User())
	if err != nil {
		return userauth.Reply{}, err
	}
	x.State = ticket // a second turn has nothing new to offer
	payload := ssh.Marshal(struct{ Ticket string }{ticket})
	signature, err := m.Key.Sign(nil, x.SignedData(payload))
	if err != nil {
		return userauth.Reply{}, err
	}
	return x.Prove(append(payload, ssh.Marshal(signature)...))
}

func ExampleMethod() {
	key, _ := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, 32)))
	issue := func(_ context.Context, user string) (string, error) { return "for " + user, nil }
	server := verdicts(partial("password"), success)

	err := userauth.Authenticate(context.Background(), server, &userauth.Config{
		User:    "bob",
		Methods: []userauth.Method{Ticket{issue, key}, userauth.Password("sesame")},
		Trace:   func(a userauth.Attempt) { fmt.Println(a) },
	})
	fmt.Println(err)
	// Output:
	// ticket@example.com: partial success
	// password: success
	// <nil>
}

// A host vouches for its users with its own key.
func ExampleHostbased() {
	host, _ := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, 32)))
	server := verdicts(success)

	err := userauth.Authenticate(context.Background(), server, &userauth.Config{
		User:    "bob",
		Methods: []userauth.Method{userauth.Hostbased("client.example.com", "robert", host)},
		Trace:   func(a userauth.Attempt) { fmt.Println(a) },
	})
	fmt.Println(err)
	// Output:
	// hostbased ssh-ed25519 SHA256:tAXFyTXI8xtDaujAEcwJslAYc9/6FKcUkd2Lw0xDhPo: success
	// <nil>
}

// A server may demand a new password.
func ExamplePasswordChange() {
	current := func(context.Context, int) (string, error) { return "sesame", nil }
	fresh := func(_ context.Context, attempt int, prompt string) (string, error) {
		fmt.Printf("%d: %s\n", attempt, prompt)
		return "open sesame", nil
	}
	server := verdicts(demand("Your password has expired."), success)

	err := userauth.Authenticate(context.Background(), server, &userauth.Config{
		User:    "bob",
		Methods: []userauth.Method{userauth.PasswordChange(current, fresh)},
	})
	fmt.Println(err)
	// Output:
	// 1: Your password has expired.
	// <nil>
}

// A program asks the server first, and then chooses the methods: a key, and the
// second factor of the server's choice.
func ExampleChoose() {
	key, _ := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, 32)))
	code := func(context.Context, userauth.Challenge) ([]string, error) { return []string{"755224"}, nil }
	next := func(_ context.Context, p userauth.Progress) (userauth.Method, error) {
		switch {
		case p.Allowed == nil:
			return userauth.None(), nil
		case !slices.Contains(p.Accepted, "publickey"):
			return userauth.PublicKeys(key), nil
		case slices.Contains(p.Allowed, "keyboard-interactive"):
			return userauth.KeyboardInteractive(code), nil
		}
		return nil, fmt.Errorf("a second factor that nobody knows: %q", p.Allowed)
	}
	server := verdicts(failure("publickey"), partial("keyboard-interactive"), infoRequest("", "", "Code: "), success)

	err := userauth.Authenticate(context.Background(), server, &userauth.Config{
		User:           "bob",
		Methods:        []userauth.Method{userauth.Choose(next)},
		RequireFactors: 2,
		Trace:          func(a userauth.Attempt) { fmt.Println(a) },
	})
	fmt.Println(err)
	// Output:
	// none: refused
	// publickey ssh-ed25519 SHA256:tAXFyTXI8xtDaujAEcwJslAYc9/6FKcUkd2Lw0xDhPo: partial success
	// keyboard-interactive "Code:": success
	// <nil>
}

// A command leaves together with the proof. If the connection is lost before the
// answer has come, nobody knows whether the command has run.
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
	case early.Outcome == userauth.EarlyGranted:
		fmt.Println("on its way:", err)
	case early.Outcome == userauth.EarlyUncertain:
		fmt.Println("the command may run:", err)
	case err == nil:
		fmt.Println("logged in; the command is still to be sent")
	default:
		fmt.Println("the command does not run:", err)
	}
	// Output:
	// on its way: <nil>
}

// A program that remembers the accepted key logs in with the first request next
// time, however many keys there are.
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

// The error lists all attempts, and the methods that the server would take.
func ExampleError() {
	server := verdicts(failure("publickey", "hostbased"))
	err := userauth.Authenticate(context.Background(), server, &userauth.Config{
		User:    "bob",
		Methods: []userauth.Method{userauth.None(), userauth.Agent(nil), userauth.Password("sesame")},
	})
	fmt.Println(err)
	// Output:
	// userauth: user "bob" not authenticated: none: refused; publickey: skipped: there is no agent; password: skipped: the server does not allow the method; the server allows "publickey,hostbased" (not configured: "hostbased")
}
