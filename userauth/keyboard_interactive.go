package userauth

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// These bounds limit keyboard-interactive.
const (
	maxRounds         = 32  // challenges in one login
	maxChallengeLines = 100 // prompts in one challenge
	maxAsked          = 4   // prompts in the record of a conversation
)

// Challenge is a server's question to a person, RFC 4256 section 3.2. The texts
// are the server's: control characters other than newline and tab have been
// removed and each text is cut at 16 KiB, but a text may still claim to come from
// somebody else, so show the texts with the name of the user and the host.
type Challenge struct {
	Attempt     int    // counts the conversations from 1, so 2 and 3 follow a refusal
	Name        string // a title, may be empty
	Instruction string // may be empty
	Prompts     []Prompt
}

// Prompt is a question of a [Challenge].
type Prompt struct {
	Text string
	Echo bool // the answer may be shown while typed
}

// KeyboardInteractive lets f answer the server's challenges, RFC 4256. f returns
// an answer for each prompt; a challenge without prompts is there to be shown. A
// refusal after f has answered a prompt starts the conversation again, three
// times at most in a login; 32 challenges of at most 100 prompts each are
// answered in all. An error of f that wraps [ErrSkip] declines; any other error
// ends the login.
func KeyboardInteractive(f func(ctx context.Context, c Challenge) ([]string, error)) Method {
	return keyboardInteractive(f)
}

type keyboardInteractive func(ctx context.Context, c Challenge) ([]string, error)

// conversations is the memory that keyboard-interactive has of a login.
type conversations struct {
	begun    int
	rounds   int
	answered bool     // f answered a prompt in the current conversation
	refused  bool     // the server has refused for good
	asked    []string // the first prompts of the current conversation, for the record
}

func (keyboardInteractive) Name() string { return methodKeyboardInteractive }

func (k keyboardInteractive) Try(ctx context.Context, x *Exchange) (Reply, error) {
	state, ok := x.State.(*conversations)
	if !ok {
		state = &conversations{}
		x.State = state
	}
	if state.refused || state.begun == maxPrompts {
		return Reply{}, errUsed
	}
	for {
		reply, err := k.converse(ctx, x, state)
		if err != nil || reply.Status != Failure || !reply.Allows(methodKeyboardInteractive) {
			return reply, err
		}
		state.refused = !state.answered || state.begun == maxPrompts
		if state.refused {
			return reply, nil
		}
	}
}

// converse makes one request, answers challenges until there is a verdict, and
// records the attempt.
func (k keyboardInteractive) converse(ctx context.Context, x *Exchange, state *conversations) (Reply, error) {
	state.begun++
	state.answered, state.asked = false, nil
	reply, err := x.Request(ssh.Marshal(keyboardInteractiveMsg{}))
	for err == nil && reply.number() == msgInfoRequest {
		reply, err = k.answer(ctx, x, state, reply.Packet)
	}
	a := Attempt{Prompt: strings.Join(state.asked, " / "), Trivial: !state.answered}
	x.Record(outcome(x, a, reply, err))
	return reply, err
}

func (k keyboardInteractive) answer(ctx context.Context, x *Exchange, state *conversations, packet []byte) (Reply, error) {
	if state.rounds++; state.rounds > maxRounds {
		return Reply{}, protocolErrorf("more than %d challenges", maxRounds)
	}
	c, err := parseChallenge(packet)
	if err != nil {
		return Reply{}, err
	}
	c.Attempt = state.begun
	for _, p := range c.Prompts {
		if len(state.asked) < maxAsked {
			state.asked = append(state.asked, strings.TrimSpace(p.Text))
		}
	}
	var answers []string
	if c.Name != "" || c.Instruction != "" || len(c.Prompts) > 0 {
		if answers, err = k(ctx, c); err != nil {
			return Reply{}, err
		}
	}
	if len(answers) != len(c.Prompts) {
		return Reply{}, fmt.Errorf("userauth: %d answers were given to %d prompts", len(answers), len(c.Prompts))
	}
	state.answered = state.answered || len(answers) > 0
	return x.Send(marshalAnswers(answers))
}

// parseChallenge parses an information request. The number of prompts allocates
// nothing: each prompt must be there in bytes.
func parseChallenge(packet []byte) (Challenge, error) {
	var msg infoRequestMsg
	if err := ssh.Unmarshal(packet, &msg); err != nil {
		return Challenge{}, protocolErrorf("malformed challenge")
	}
	if msg.NumPrompts > maxChallengeLines {
		return Challenge{}, protocolErrorf("challenge has %d prompts, more than %d", msg.NumPrompts, maxChallengeLines)
	}
	c := Challenge{Name: clean(msg.Name, maxText), Instruction: clean(msg.Instruction, maxText)}
	rest := msg.Prompts
	for range msg.NumPrompts {
		var p promptMsg
		if err := ssh.Unmarshal(rest, &p); err != nil {
			return Challenge{}, protocolErrorf("challenge has fewer prompts than announced")
		}
		c.Prompts = append(c.Prompts, Prompt{Text: clean(p.Text, maxText), Echo: p.Echo})
		rest = p.Rest
	}
	if len(rest) > 0 {
		return Challenge{}, protocolErrorf("challenge has %d bytes too many", len(rest))
	}
	return c, nil
}

func marshalAnswers(answers []string) []byte {
	msg := infoResponseMsg{NumResponses: uint32(len(answers))}
	for _, answer := range answers {
		msg.Responses = append(msg.Responses, ssh.Marshal(struct{ Answer string }{answer})...)
	}
	return ssh.Marshal(msg)
}
