package hostkeys_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/connection/hostkeys"
	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// newKey returns a signer whose key depends on the seed alone.
func newKey(seed byte) ssh.Signer {
	private := ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), seed))
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		log.Fatal(err)
	}
	return signer
}

// The layers are stacked by hand, twice. The first connection learns the key of a
// new host, as StrictHostKeyChecking=accept-new does. On the second connection
// the server announces its next key, and the key is added to the file.
func Example() {
	dir, err := os.MkdirTemp("", "hostkeys")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	present, next := newKey(1), newKey(2)
	server := &announcer{
		hostKey:   present,
		announced: [][]byte{present.PublicKey().Marshal(), next.PublicKey().Marshal()},
		prove: func(session []byte, _ [][]byte) ([][]byte, bool) {
			return [][]byte{sign(next, ssh.KeyAlgoED25519, proveName, session)}, true
		},
	}
	ctx := context.Background()
	const addr = "host.example.com:22"
	for range 2 {
		hosts, err := knownhosts.Load(filepath.Join(dir, "known_hosts"))
		if err != nil {
			log.Fatal(err)
		}
		changed := make(chan struct{}, 1)
		policy := &knownhosts.Policy{
			Sources:               []knownhosts.Source{hosts},
			StrictHostKeyChecking: knownhosts.StrictAcceptNew,
			UpdateHostKeys:        knownhosts.UpdateYes,
			Trace: func(c knownhosts.Change) {
				fmt.Println(c.Name, ssh.FingerprintSHA256(c.Key))
				changed <- struct{}{}
			},
		}

		nc, _ := server.start()
		t := transport.Client(nc, &transport.Config{HostKey: policy, Addr: addr})
		if err := t.Handshake(ctx); err != nil {
			log.Fatal(err)
		}
		auth := &userauth.Config{User: "gopher", Methods: []userauth.Method{userauth.None()}}
		if err := userauth.Authenticate(ctx, t, auth); err != nil {
			log.Fatal(err)
		}
		if err := hostkeys.Learn(ctx, t, addr, policy); err != nil {
			log.Fatal(err)
		}
		config := new(connection.Config)
		if h, ok := hostkeys.Handler(t, addr, policy); ok {
			config.HandleRequest = map[string]connection.RequestFunc{hostkeys.Request: h}
		}
		conn := connection.New(t, config)
		<-changed
		conn.Close()
	}
	// Output:
	// host.example.com SHA256:mXhe4VT8IZgX1fUCWPH5SZ3xupG1AvwouipH1zOKCA0
	// host.example.com SHA256:r3iiNRXIdlSVBezAaA0zSYWm4nb/0n7xonM1qm6qiOQ
}
