package hostkeys_test

import (
	"context"
	"net"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection/hostkeys"
	"github.com/nacre-ssh/nacre/internal/waittest"
)

// waits are all calls of this package with a wait: see waittest.
var waits = waittest.Calls{
	"Learn, for the verifier": func(*testing.T) waittest.Blocked {
		v := verifier{learn: func(ctx context.Context, _ string, _ net.Addr, _ ssh.PublicKey) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		return waittest.Blocked{Context: true, Do: func(ctx context.Context) error {
			return hostkeys.Learn(ctx, settled{}, "host:22", v)
		}}
	},
}

func TestWaits(t *testing.T) { waittest.Run(t, waits) }
