package sshconfig_test

import (
	"context"
	"testing"

	"github.com/nacre-ssh/nacre/internal/waittest"
	"github.com/nacre-ssh/nacre/sshconfig"
)

// waits are all calls of this package that can wait: for the caller's functions. See waittest.
var waits = waittest.Calls{
	"Load": func(*testing.T) waittest.Blocked {
		return waittest.Blocked{Context: true, Do: func(ctx context.Context) error {
			<-ctx.Done() // the package's function has no function of a caller to wait for, and checks the context
			_, err := sshconfig.Load(ctx, "host")
			return err
		}}
	},
	"Loader.Load, a command": func(*testing.T) waittest.Blocked {
		l := loader("Match exec sleep\n")
		l.Exec = func(ctx context.Context, _ string) (bool, error) {
			<-ctx.Done()
			return false, context.Cause(ctx)
		}
		return waittest.Blocked{Context: true, Do: func(ctx context.Context) error {
			_, err := l.Load(ctx, "host")
			return err
		}}
	},
	"Loader.Load, a lookup": func(*testing.T) waittest.Blocked {
		l := loader("CanonicalizeHostname yes\nCanonicalDomains example.com\n")
		l.Lookup = func(ctx context.Context, _, _ string) (string, error) {
			<-ctx.Done()
			return "", context.Cause(ctx)
		}
		return waittest.Blocked{Context: true, Do: func(ctx context.Context) error {
			_, err := l.Load(ctx, "host")
			return err
		}}
	},
}

func TestWaits(t *testing.T) { waittest.Run(t, waits) }
