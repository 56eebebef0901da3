package knownhosts_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// answering returns a Prompt that always answers the same, and the list of its
// questions.
func answering(answer string) (prompt func(context.Context, *knownhosts.Question) (string, error), asked *[]*knownhosts.Question) {
	asked = new([]*knownhosts.Question)
	return func(_ context.Context, q *knownhosts.Question) (string, error) {
		*asked = append(*asked, q)
		if answer == "fingerprint" {
			return q.Fingerprint + "\n", nil
		}
		return answer + "\n", nil
	}, asked
}

func TestAPersonIsAskedOnceForManyConnections(t *testing.T) {
	for _, answer := range []string{"yes", "no"} {
		synctest.Test(t, func(t *testing.T) {
			file := write(t, "")
			var asked atomic.Int32
			release := make(chan struct{})
			p := &knownhosts.Policy{
				Sources: []knownhosts.Source{load(t, file)}, StrictHostKeyChecking: knownhosts.StrictAsk,
				Prompt: func(context.Context, *knownhosts.Question) (string, error) {
					asked.Add(1)
					<-release
					return answer, nil
				},
			}
			const connections = 20
			errs := make([]error, connections)
			var all sync.WaitGroup
			for i := range connections {
				all.Go(func() {
					if errs[i] = p.VerifyHostKey(t.Context(), "host:22", nil, key("host")); errs[i] == nil {
						errs[i] = p.LearnHostKey(t.Context(), "host:22", nil, key("host"))
					}
				})
			}
			synctest.Wait()
			close(release)
			all.Wait()
			require.EqualValues(t, 1, asked.Load())
			for _, err := range errs {
				require.Equal(t, answer == "yes", err == nil)
			}
			require.Equal(t, answer == "yes", read(t, file) == "host "+text(key("host"))+"\n")
		})
	}
}

// patient marks the context of a connection whose question is answered.
type patient struct{}

// The first connection gives up, and the second has to ask.
func TestWhoWaitsForAnAnswerAsksHimself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &knownhosts.Policy{
			Sources: []knownhosts.Source{new(knownhosts.DB)}, StrictHostKeyChecking: knownhosts.StrictAsk,
			Prompt: func(ctx context.Context, _ *knownhosts.Question) (string, error) {
				if ctx.Value(patient{}) != nil {
					return "yes", nil
				}
				<-ctx.Done()
				return "yes", nil // too late
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- p.VerifyHostKey(ctx, "host:22", nil, key("host")) }()
		synctest.Wait()
		go func() {
			second <- p.VerifyHostKey(context.WithValue(t.Context(), patient{}, true), "host:22", nil, key("host"))
		}()
		synctest.Wait()
		cancel()
		err := <-first
		requireKind(t, knownhosts.Unknown, err)
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, <-second)
	})
}

func TestQuestionsAreCleanAndTellWhatIsKnown(t *testing.T) {
	d := knownhosts.Parse("f\x1b[2J", []byte("elsewhere "+text(key("host"))))
	p := &knownhosts.Policy{Sources: []knownhosts.Source{d}, StrictHostKeyChecking: knownhosts.StrictAsk}
	var asked *[]*knownhosts.Question
	p.Prompt, asked = answering("no")
	err := p.VerifyHostKey(t.Context(), "ho\u202est\a:22", nil, key("host"))
	requireKind(t, knownhosts.Unknown, err)
	require.Empty(t, *asked)
	require.ErrorContains(t, err, "cannot be recorded")

	remote := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22}
	err = p.VerifyHostKey(t.Context(), "host:22", remote, key("host"))
	requireKind(t, knownhosts.Unknown, err)
	require.ErrorContains(t, err, "the key was declined")
	require.Len(t, *asked, 1)
	require.Equal(t, remote, (*asked)[0].Remote)
	require.Equal(t, fmt.Sprintf("The authenticity of host host:22 (192.0.2.1:22) can't be established: nothing is on record for host.\n"+
		"ssh-ed25519 key fingerprint is %s.\nThis key is on record for other names, at: f?[2J:1\n"+
		"Are you sure you want to continue connecting (yes/no/[fingerprint])? ", (*asked)[0].Fingerprint), (*asked)[0].Text)
}

func TestOnlyYesNoAndTheFingerprintAreAnswers(t *testing.T) {
	for answer, want := range map[string]string{
		"yes": "", "YES": "", " yes ": "", "fingerprint": "", "no": "declined", "NO": "declined", "": "declined",
		"y": "none of 5 answers", "yes please": "none of 5 answers", "sha256:x": "none of 5 answers", "true": "none of 5 answers",
	} {
		p := &knownhosts.Policy{Sources: []knownhosts.Source{new(knownhosts.DB)}, StrictHostKeyChecking: knownhosts.StrictAsk}
		p.Prompt, _ = answering(answer)
		err := p.VerifyHostKey(t.Context(), "host:22", nil, key("host"))
		if want == "" {
			require.NoError(t, err, answer)
			continue
		}
		requireKind(t, knownhosts.Unknown, err)
		require.ErrorContains(t, err, want, answer)
	}
}
