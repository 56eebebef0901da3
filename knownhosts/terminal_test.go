package knownhosts_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// askVariable has the test binary ask on its terminal.
const askVariable = "NACRE_TEST_ASK"

func askOnTerminal() error {
	p := &knownhosts.Policy{Sources: []knownhosts.Source{new(knownhosts.DB)}, StrictHostKeyChecking: knownhosts.StrictAsk}
	return p.VerifyHostKey(context.Background(), "host:22", nil, key("host"))
}

type readWriter struct {
	io.Reader
	io.Writer
}

func TestTerminalsAreAsked(t *testing.T) {
	for input, want := range map[string]string{
		"yes\nrest": "", "maybe\nyes\n": "", "no\n": "the key was declined", "": "EOF", "yes": "",
		"1\n2\n3\n4\n5\nyes\n":                  "none of 5 answers",
		string(bytes.Repeat([]byte("x"), 5000)): "answer has more than 1024 bytes",
	} {
		in, out := bytes.NewBufferString(input), new(bytes.Buffer)
		p := &knownhosts.Policy{
			Sources: []knownhosts.Source{new(knownhosts.DB)}, StrictHostKeyChecking: knownhosts.StrictAsk,
			Prompt: knownhosts.Terminal(readWriter{in, out}),
		}
		err := p.VerifyHostKey(t.Context(), "host:22", nil, key("host"))
		if want == "" {
			require.NoError(t, err, input)
		} else {
			requireKind(t, knownhosts.Unknown, err)
			require.ErrorContains(t, err, want)
		}
		require.Contains(t, out.String(), "Are you sure you want to continue connecting (yes/no/[fingerprint])? ")
		if input == "maybe\nyes\n" {
			require.Contains(t, out.String(), "Please answer with yes/no/[fingerprint]: ")
		}
		if input == "yes\nrest" {
			require.Equal(t, "rest", in.String())
		}
	}
}

func TestWhatIsShownOnATerminalIsClean(t *testing.T) {
	out := new(bytes.Buffer)
	ask := knownhosts.Terminal(readWriter{bytes.NewBufferString("no\n"), out})
	answer, err := ask(t.Context(), &knownhosts.Question{Text: "a\x1b[2J\r\u202eb\nc\xff? "})
	require.NoError(t, err)
	require.Equal(t, "no\n", answer)
	require.Equal(t, "a?[2J??b\nc\ufffd? ", out.String())
}

func TestQuestionsEndWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		terminal, person := net.Pipe()
		defer terminal.Close()
		defer person.Close()
		go func() { _, _ = io.Copy(io.Discard, person) }()
		p := &knownhosts.Policy{
			Sources: []knownhosts.Source{new(knownhosts.DB)}, StrictHostKeyChecking: knownhosts.StrictAsk, Prompt: knownhosts.Terminal(terminal),
		}
		ctx, cancel := context.WithCancel(t.Context())
		asked := make(chan error, 1)
		go func() { asked <- p.VerifyHostKey(ctx, "host:22", nil, key("host")) }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-asked, context.Canceled)
	})
}

// setsid takes the terminal away.
func TestWithoutATerminalNobodyIsAsked(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command("setsid", "--wait", self)
	cmd.Env = append(os.Environ(), askVariable+"=1")
	cmd.Stdin = bytes.NewBufferString("yes\n")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "nobody has answered whether to accept the key: there is no terminal to ask on: open /dev/tty: ")
	require.Contains(t, string(out), "knownhosts: unknown host key: ")
}

// Standard input is something else, and script(1) has a terminal.
func TestThePersonAtTheTerminalIsAsked(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for answer, want := range map[string]string{"yes": "done", "no": "the key was declined"} {
		cmd := exec.Command("script", "-qec", fmt.Sprintf("'%s' </dev/null", self), "/dev/null")
		cmd.Env = append(os.Environ(), askVariable+"=1")
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		_, err = io.WriteString(in, answer+"\n")
		require.NoError(t, err)
		out, _ := cmd.CombinedOutput()
		require.Contains(t, string(out), "The authenticity of host host:22 can't be established")
		require.Contains(t, string(out), want)
	}
}
