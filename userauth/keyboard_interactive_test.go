package userauth_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/userauth"
)

// answers is a keyboard-interactive method that says "yes" to every prompt and
// records the challenges.
func answers(asked *[]userauth.Challenge) userauth.Method {
	return userauth.KeyboardInteractive(func(_ context.Context, c userauth.Challenge) ([]string, error) {
		*asked = append(*asked, c)
		all := make([]string, len(c.Prompts))
		for i := range all {
			all[i] = "yes"
		}
		return all, nil
	})
}

func TestKeyboardInteractiveOnTheWire(t *testing.T) {
	var asked []userauth.Challenge
	p := verdicts(
		infoRequest("Login", "Hello\r\n", "Password: ", "Code!"),
		infoRequest("", "Two minutes left"),
		infoRequest("", ""),
		success,
	)
	require.NoError(t, authenticate(t, p, answers(&asked)))
	require.Equal(t, []userauth.Challenge{
		{Attempt: 1, Name: "Login", Instruction: "Hello\n", Prompts: []userauth.Prompt{{Text: "Password: "}, {Text: "Code!", Echo: true}}},
		{Attempt: 1, Instruction: "Two minutes left"},
	}, asked, "a challenge that is wholly empty is answered without asking")
	require.Equal(t, strings.Repeat("\x00", 8), string(p.requests(t)[0].Payload))
	require.Equal(t, "\x3d\x00\x00\x00\x02\x00\x00\x00\x03yes\x00\x00\x00\x03yes", string(p.written[1]))
	require.Equal(t, "\x3d\x00\x00\x00\x00", string(p.written[2]))
	require.Equal(t, "\x3d\x00\x00\x00\x00", string(p.written[3]))
}

func TestKeyboardInteractiveBeginsAgainOnlyAfterAnAnswer(t *testing.T) {
	var asked []userauth.Challenge
	p := verdicts(failure("keyboard-interactive"), success)
	requireError(t, authenticate(t, p, answers(&asked)))
	require.Len(t, p.written, 1, "refused without a question")
	require.Empty(t, asked)

	p = verdicts(failure("keyboard-interactive", "other@example.com"), partial("keyboard-interactive"), success)
	requireError(t, authenticate(t, p, answers(&asked), other{}))
	require.Len(t, p.written, 2, "not even after a partial success")

	p = verdicts(infoRequest("", "no entry"), failure("keyboard-interactive"), success)
	requireError(t, authenticate(t, p, answers(&asked)))
	require.Len(t, p.written, 2, "refused after a notice")

	asked = nil
	p = verdicts(infoRequest("", "", "?"), failure("keyboard-interactive"), infoRequest("", "", "?"), success)
	require.NoError(t, authenticate(t, p, answers(&asked)))
	require.Equal(t, 2, asked[1].Attempt)
}

// A4: endless failures.
func TestKeyboardInteractiveHasThreeConversationsInAll(t *testing.T) {
	for name, verdict := range map[string][]byte{
		"partial success": partial("keyboard-interactive"),
		"failure":         failure("keyboard-interactive"),
	} {
		t.Run(name, func(t *testing.T) {
			var asked []userauth.Challenge
			p := newPeer(func(packet []byte) [][]byte {
				if packet[0] == 50 {
					return [][]byte{infoRequest("", "", "?")}
				}
				return [][]byte{verdict}
			})
			requireError(t, authenticate(t, p, answers(&asked)))
			require.Len(t, asked, 3)
		})
	}
}

// A7 and P11: malformed and large challenges.
func TestKeyboardInteractiveDoesNotBelieveTheServer(t *testing.T) {
	good := infoRequest("n", "i", "one", "two")
	lying := func(count ...byte) []byte {
		at := bytes.Index(good, []byte("\x00\x00\x00\x02"))
		packet := bytes.Clone(good)
		copy(packet[at:], count)
		return packet
	}
	for name, packet := range map[string][]byte{
		"4294967295 prompts":   lying(0xff, 0xff, 0xff, 0xff),
		"101 prompts":          infoRequest("", "", strings.Split(strings.Repeat("?", 101), "")...),
		"one more than there":  lying(0, 0, 0, 3),
		"one fewer than there": lying(0, 0, 0, 1),
		"none":                 lying(0, 0, 0, 0),
		"cut in a prompt":      good[:len(good)-3],
		"cut in the header":    good[:6],
		"other message":        {61, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []userauth.Challenge
			p := verdicts(packet, success)
			e := requireError(t, authenticate(t, p, answers(&asked), other{}))
			var protocol *userauth.ProtocolError
			require.ErrorAs(t, e, &protocol)
			require.Empty(t, asked)
			require.Len(t, p.written, 1)
		})
	}
}

// A7: challenges without end.
func TestKeyboardInteractiveWithoutEndIsGivenUp(t *testing.T) {
	for name, packet := range map[string][]byte{
		"empty":   infoRequest("", ""),
		"prompts": infoRequest("", "", "again?"),
	} {
		t.Run(name, func(t *testing.T) {
			var asked []userauth.Challenge
			p := newPeer(func([]byte) [][]byte { return [][]byte{packet} })
			e := requireError(t, authenticate(t, p, answers(&asked)))
			require.ErrorContains(t, e, "more than 32 challenges")
			require.Len(t, p.written, 33)
		})
	}
}

// A7: size and characters of the texts.
func TestChallengeTextsAreBoundedAndCleaned(t *testing.T) {
	var asked []userauth.Challenge
	p := verdicts(infoRequest("n\x1b]0;", strings.Repeat("i", 200<<10), "Pass\rword\x08: "), success)
	require.NoError(t, authenticate(t, p, answers(&asked)))
	require.Equal(t, "n]0;", asked[0].Name)
	require.Len(t, asked[0].Instruction, 16<<10)
	require.Equal(t, "Password: ", asked[0].Prompts[0].Text)
}

func TestAnswersMustMatchThePrompts(t *testing.T) {
	p := verdicts(infoRequest("", "", "one", "two"), success)
	e := requireError(t, authenticate(t, p, userauth.KeyboardInteractive(
		func(context.Context, userauth.Challenge) ([]string, error) { return []string{"sesame"}, nil })))
	require.ErrorContains(t, e, "1 answers were given to 2 prompts")
	require.NotContains(t, e.Error(), "sesame")
	require.Len(t, p.written, 1)
}

func TestDeclinedChallengeGivesWayToTheNextMethod(t *testing.T) {
	p := verdicts(infoRequest("", "", "Code: "), success)
	require.NoError(t, authenticate(t, p, userauth.KeyboardInteractive(
		func(context.Context, userauth.Challenge) ([]string, error) { return nil, userauth.ErrSkip }), other{}))
	require.Equal(t, []string{"keyboard-interactive", "other@example.com"}, p.methods(t))
}
