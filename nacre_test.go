package nacre_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
	"github.com/stretchr/testify/require"
)

// The method DialContext fits the dial functions of other packages, as a value or
// in a closure of a single line. The last two functions are for pgx and grpc.
var (
	_                                                         = &http.Transport{DialContext: new(nacre.Client).DialContext}
	_                                                         = nacre.Config{Dial: new(nacre.Client).DialContext}
	_                                                         = net.Resolver{Dial: new(nacre.Client).DialContext}
	_ func(context.Context, string, string) (net.Conn, error) = new(nacre.Client).DialContext
	_ func(context.Context, string) (net.Conn, error)         = func(ctx context.Context, addr string) (net.Conn, error) {
		return new(nacre.Client).DialContext(ctx, "tcp", addr)
	}
)

func TestClientOfLayersBuiltByHand(t *testing.T) {
	s := sshtest.NewServer(t, nil)
	nc, err := s.DialContext(t.Context(), "", "")
	require.NoError(t, err)
	c := config(s)
	below := transport.Client(nc, &transport.Config{HostKey: c.HostKey, Addr: s.Addr})
	require.NoError(t, below.Handshake(t.Context()))
	require.NoError(t, userauth.Authenticate(t.Context(), below, &userauth.Config{User: s.User, Methods: c.Auth}))
	conn := connection.New(below, nil)
	client := nacre.NewClient(conn)
	require.Same(t, conn, client.Conn())
	require.Nil(t, client.Transport())
	require.NoError(t, client.Command(t.Context(), "true").Run())
	require.NoError(t, client.Close())
	require.NoError(t, client.Close())
	require.NoError(t, client.Wait())
	_, err = client.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	require.ErrorIs(t, err, net.ErrClosed)
}
