package nacre_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/knownhosts"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/userauth"
)

// hello is the first program of the README, and ExampleDial runs it.
func hello(ctx context.Context, target, file string, signer ssh.Signer) ([]byte, error) {
	hosts, err := knownhosts.Load(file)
	if err != nil {
		return nil, err
	}
	client, err := nacre.Dial(ctx, target, &nacre.Config{
		HostKey: hosts, Auth: []userauth.Method{userauth.PublicKeys(signer)},
	})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Command(ctx, "echo hello").Output()
}

func ExampleDial() {
	server, err := sshtest.StartServer(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	dir, err := os.MkdirTemp("", "nacre")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(file, server.KnownHosts(), 0o600); err != nil {
		log.Fatal(err)
	}
	out, err := hello(context.Background(), server.Target, file, server.Signer)
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// hello
	// <nil>
}

// TestHello shows in the README how readers test their own programs.
func TestHello(t *testing.T) {
	server := sshtest.NewServer(t, nil)
	file := filepath.Join(t.TempDir(), "known_hosts")
	require.NoError(t, os.WriteFile(file, server.KnownHosts(), 0o600))
	out, err := hello(t.Context(), server.Target, file, server.Signer)
	require.NoError(t, err)
	require.Equal(t, "hello\n", string(out))
}

// TestHelloToABrokenServer shows in the README how to test with a broken server.
func TestHelloToABrokenServer(t *testing.T) {
	server := sshtest.NewServer(t, &sshtest.Options{Script: func(p *wire.Peer) {
		p.Login()
		id, _ := p.AcceptCommand()
		p.Send(wire.ChannelCloseMsg{Recipient: id})
		p.Drain()
	}})
	file := filepath.Join(t.TempDir(), "known_hosts")
	require.NoError(t, os.WriteFile(file, server.KnownHosts(), 0o600))
	_, err := hello(t.Context(), server.Target, file, server.Signer)
	require.ErrorIs(t, err, channel.ErrNoExitStatus)
}

// cat is examples/cat, with the façade instead of the layers.
func cat(ctx context.Context, client *nacre.Client) ([]byte, error) {
	cmd := client.Command(ctx, "cat")
	cmd.Stdin = strings.NewReader("This data will be echoed back to us by \"cat.\"\r\n")
	echo, err := cmd.Output()
	return echo, err
}

func TestCatWithTheFacade(t *testing.T) {
	server := sshtest.NewServer(t, nil)
	client, err := nacre.Dial(t.Context(), server.Target, &nacre.Config{
		HostKey: knownhosts.Parse("known_hosts", server.KnownHosts()),
		Auth:    []userauth.Method{userauth.PublicKeys(server.Signer)},
	})
	require.NoError(t, err)
	defer client.Close()
	echo, err := cat(t.Context(), client)
	require.NoError(t, err)
	require.Equal(t, "This data will be echoed back to us by \"cat.\"\r\n", string(echo))
}
