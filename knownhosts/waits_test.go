package knownhosts_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/waittest"
	"github.com/nacre-ssh/nacre/knownhosts"
)

// waits are all calls of this package that can wait. See waittest.
var waits = waittest.Calls{
	"Policy.VerifyHostKey": func(*testing.T) waittest.Blocked {
		p := &knownhosts.Policy{Sources: []knownhosts.Source{new(knownhosts.DB)}, Checking: knownhosts.Ask, Prompt: silent}
		return waittest.Blocked{Context: true, Do: func(ctx context.Context) error {
			return p.VerifyHostKey(ctx, "host:22", nil, key("host"))
		}}
	},
	"Policy.VerifyHostKey, another question": func(t *testing.T) waittest.Blocked {
		p := &knownhosts.Policy{Sources: []knownhosts.Source{new(knownhosts.DB)}, Checking: knownhosts.Ask, Prompt: silent}
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		go func() { _ = p.VerifyHostKey(ctx, "other:22", nil, key("host")) }()
		return waittest.Blocked{Context: true, Do: func(ctx context.Context) error {
			return p.VerifyHostKey(ctx, "host:22", nil, key("host"))
		}}
	},
	"Policy.UpdateHostKeys": func(t *testing.T) waittest.Blocked {
		file := write(t, "host "+text(key("host"))+"\n")
		p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, file)}, Update: knownhosts.UpdateOn}
		return waittest.Blocked{Context: true, Do: func(ctx context.Context) error {
			return p.UpdateHostKeys(ctx, "host:22", nil, key("host"), []ssh.PublicKey{key("host"), key("other")},
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

// silent is a person who does not answer.
func silent(ctx context.Context, _ *knownhosts.Question) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

// slow is a DNS that does not answer.
type slow struct{}

func (slow) LookupSSHFP(ctx context.Context, _ string) ([]knownhosts.SSHFP, bool, error) {
	<-ctx.Done()
	return nil, false, ctx.Err()
}

// TestALockIsWaitedForWhileOthersWrite one after the other.
func TestALockIsWaitedForWhileOthersWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := write(t, "")
		d := load(t, file)
		unlock := lock(t, file)
		added := make(chan error, 1)
		go func() { added <- d.Add("host:22", key("host")) }()
		for range 10 {
			time.Sleep(7 * time.Second)
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
			require.NoError(t, err)
			_, err = f.WriteString("# another one\n")
			require.NoError(t, err)
			require.NoError(t, f.Close())
		}
		unlock()
		require.NoError(t, <-added)
		require.Equal(t, strings.Repeat("# another one\n", 10)+"host "+text(key("host"))+"\n", read(t, file))
	})
}

// TestALockIsNotWaitedForForEver, since whoever has it may hang.
func TestALockIsNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := write(t, "")
		d := load(t, file)
		lock(t, file)
		err := d.Add("host:22", key("host"))
		require.ErrorContains(t, err, "knownhosts: lock "+file+": another process has had the lock for 10s")

		var changes []knownhosts.Change
		p := &knownhosts.Policy{
			Sources: []knownhosts.Source{d}, Checking: knownhosts.AcceptNew,
			Trace: func(c knownhosts.Change) { changes = append(changes, c) },
		}
		require.NoError(t, p.VerifyHostKey(t.Context(), "host:22", nil, key("host")))
		require.NoError(t, p.LearnHostKey(t.Context(), "host:22", nil, key("host")), "a login does not fail for that")
		require.Len(t, changes, 1)
		require.ErrorContains(t, changes[0].Err, "has had the lock")
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
		require.ErrorContains(t, <-first, "has had the lock")
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Empty(t, content)
	})
}
