package knownhosts_test

import (
	"context"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/waittest"
	"github.com/nacre-ssh/nacre/knownhosts"
)

// waits are all calls of this package that can wait: see waittest.
var waits = waittest.Calls{
	"Policy.VerifyHostKey": func(*testing.T) waittest.Blocked {
		p := &knownhosts.Policy{Sources: []knownhosts.Source{new(knownhosts.DB)}, StrictHostKeyChecking: knownhosts.StrictAsk, Prompt: silent}
		return waittest.Blocked{Context: true, Do: func(ctx context.Context) error {
			return p.VerifyHostKey(ctx, "host:22", nil, key("host"))
		}}
	},
	"Policy.VerifyHostKey, another question": func(t *testing.T) waittest.Blocked {
		p := &knownhosts.Policy{Sources: []knownhosts.Source{new(knownhosts.DB)}, StrictHostKeyChecking: knownhosts.StrictAsk, Prompt: silent}
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		go func() { _ = p.VerifyHostKey(ctx, "other:22", nil, key("host")) }()
		return waittest.Blocked{Context: true, Do: func(ctx context.Context) error {
			return p.VerifyHostKey(ctx, "host:22", nil, key("host"))
		}}
	},
	"Policy.RotateHostKeys": func(t *testing.T) waittest.Blocked {
		file := write(t, "host "+text(key("host"))+"\n")
		p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, file)}, UpdateHostKeys: knownhosts.UpdateYes}
		return waittest.Blocked{Context: true, Do: func(ctx context.Context) error {
			return p.RotateHostKeys(ctx, "host:22", nil, key("host"), []ssh.PublicKey{key("host"), key("other")},
				func(ctx context.Context, _ []ssh.PublicKey) error {
					<-ctx.Done()
					return ctx.Err()
				})
		}}
	},
	"DNS.VerifyHostKey": func(*testing.T) waittest.Blocked {
		d := &knownhosts.DNS{Resolver: slow{}}
		return waittest.Blocked{Context: true, Do: func(ctx context.Context) error {
			return d.VerifyHostKey(ctx, "host:22", nil, key("host"))
		}}
	},
}

func TestWaits(t *testing.T) { waittest.Run(t, waits) }

// silent is a person who gives no answer.
func silent(ctx context.Context, _ *knownhosts.Question) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

// slow is a DNS without answers.
type slow struct{}

func (slow) LookupSSHFP(ctx context.Context, _ string) ([]knownhosts.SSHFP, bool, error) {
	<-ctx.Done()
	return nil, false, ctx.Err()
}

// The owner of the lock may hang. A login does not fail because of the lock.
func TestALockIsNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := write(t, "")
		d := load(t, file)
		lock(t, file)
		err := d.Add("host:22", key("host"))
		require.ErrorContains(t, err, "knownhosts: lock "+file+": another process has held the lock for 10s")

		var changes []knownhosts.Change
		p := &knownhosts.Policy{
			Sources: []knownhosts.Source{d}, StrictHostKeyChecking: knownhosts.StrictAcceptNew,
			Trace: func(c knownhosts.Change) { changes = append(changes, c) },
		}
		require.NoError(t, p.VerifyHostKey(t.Context(), "host:22", nil, key("host")))
		require.NoError(t, p.LearnHostKey(t.Context(), "host:22", nil, key("host")), "a login does not fail for that")
		require.Len(t, changes, 1)
		require.ErrorContains(t, changes[0].Err, "has held the lock")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, p.LearnHostKey(ctx, "host:22", nil, key("host")), context.DeadlineExceeded)
		first := make(chan error, 1)
		go func() { first <- d.Add("other:22", key("host")) }()
		synctest.Wait()
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, p.LearnHostKey(ctx, "host:22", nil, key("host")), context.DeadlineExceeded, "in the queue for the lock")
		require.Equal(t, time.Second, time.Since(start))
		require.ErrorContains(t, <-first, "has held the lock")
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Empty(t, content)
	})
}
