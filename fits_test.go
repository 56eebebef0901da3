package nacre_test

import (
	"context"
	"net"
	"net/http"

	"github.com/nacre-ssh/nacre"
)

// The dial functions of others, which the method DialContext fits as it is, or
// in a closure of one line. The last two are those of pgx and of grpc.
var (
	_                                                         = &http.Transport{DialContext: new(nacre.Client).DialContext}
	_                                                         = nacre.Config{Dial: new(nacre.Client).DialContext}
	_                                                         = net.Resolver{Dial: new(nacre.Client).DialContext}
	_ func(context.Context, string, string) (net.Conn, error) = new(nacre.Client).DialContext
	_ func(context.Context, string) (net.Conn, error)         = func(ctx context.Context, addr string) (net.Conn, error) {
		return new(nacre.Client).DialContext(ctx, "tcp", addr)
	}
)
