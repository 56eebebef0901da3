package nacre

import (
	"bytes"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/channel"
	"github.com/nacre-ssh/nacre/connection"
	"github.com/nacre-ssh/nacre/internal/early"
	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/userauth"
)

// instant is a server that answers each packet before the next packet is written.
type instant struct {
	answers map[string][][]byte // to the open, and to requests by their names
	in      chan []byte
	end     chan struct{}
	once    sync.Once
	ran     bool
}

func (s *instant) ReadPacket() ([]byte, error) {
	select {
	case p := <-s.in:
		return p, nil
	case <-s.end:
		return nil, io.ErrClosedPipe
	}
}

func (s *instant) Close() error {
	s.once.Do(func() { close(s.end) })
	return nil
}

func (s *instant) WritePacket(p []byte) error {
	for name, answers := range s.answers {
		if p[0] == 90 && name == "open" || p[0] == 98 && bytes.Contains(p[:min(len(p), 20)], []byte(name)) {
			s.ran = s.ran || name == "exec" && answers[0][0] == 99
			for _, a := range answers {
				s.in <- a
			}
		}
	}
	return nil
}

// start runs the first command of a client, with input in the command's flight.
func start(t *testing.T, s *instant, pty bool) error {
	s.in, s.end = make(chan []byte, 64), make(chan struct{})
	client := newClient(connection.New(s, nil), nil, early.Server{Channel: true})
	defer client.Close()
	cmd := client.Command(t.Context(), "true")
	cmd.Stdin = bytes.NewReader(make([]byte, maxInputAtHand))
	if pty {
		cmd.PTY = new(channel.PTY)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Wait()
}

var (
	opened  = [][]byte{ssh.Marshal(wire.ChannelOpenConfirmMsg{Window: 1 << 20, MaxPacket: 32 << 10})}
	granted = [][]byte{ssh.Marshal(wire.ChannelSuccessMsg{})}
	refused = [][]byte{ssh.Marshal(wire.ChannelFailureMsg{})}
	hasRun  = [][]byte{
		granted[0],
		ssh.Marshal(wire.ChannelRequestMsg{Name: "exit-status", Payload: make([]byte, 4)}),
		ssh.Marshal(wire.ChannelEOFMsg{}),
		ssh.Marshal(wire.ChannelCloseMsg{}),
	}
)

func TestCommandThatEndsBeforeItsInputIsSent(t *testing.T) {
	for range 2000 {
		require.NoError(t, start(t, &instant{answers: map[string][][]byte{"open": opened, "exec": hasRun}}, false))
	}
}

func TestAnswersToWhatLeftEarly(t *testing.T) {
	prohibited := [][]byte{ssh.Marshal(wire.ChannelOpenFailureMsg{Reason: 1, Message: "no"})}
	for name, test := range map[string]struct {
		answers   map[string][][]byte
		pty       bool
		want      any
		uncertain bool
	}{
		"open refused": {map[string][][]byte{"open": prohibited}, false, new(*connection.OpenError), false},
		"exec refused": {map[string][][]byte{"open": opened, "exec": refused}, false, new(*connection.RequestError), false},
		"pty refused":  {map[string][][]byte{"open": opened, "pty-req": refused, "exec": hasRun}, true, new(*connection.RequestError), true},
		"both refused": {map[string][][]byte{"open": opened, "pty-req": refused, "exec": refused}, true, new(*connection.RequestError), false},
		// These answers come after the command was sent: the command may have run.
		"other number": {map[string][][]byte{"exec": {bytes.Replace(opened[0], make([]byte, 8), []byte{0, 0, 0, 0, 0, 0, 0, 7}, 1)}}, false,
			new(*connection.ProtocolError), true},
		"closed at once": {map[string][][]byte{"exec": {opened[0], {97, 0, 0, 0, 0}}}, false, new(*UncertainError), true},
	} {
		t.Run(name, func(t *testing.T) {
			err := start(t, &instant{answers: test.answers}, test.pty)
			require.ErrorAs(t, err, test.want)
			if test.uncertain {
				require.ErrorAs(t, err, new(*UncertainError))
			} else {
				require.NotErrorAs(t, err, new(*UncertainError))
			}
		})
	}
}

// The first proof decides if keys are the only method, or a key was enough before.
// Only then do packets leave early to servers that hang up after a refusal.
func TestFirstProofDecides(t *testing.T) {
	key, password := userauth.PublicKeys(), userauth.Password("")
	good := &ServerState{Key: "good", KeyOnly: true}
	for name, test := range map[string]struct {
		auth  []userauth.Method
		known *ServerState
		want  bool
	}{
		"only keys":           {[]userauth.Method{key}, nil, true},
		"keys first":          {[]userauth.Method{key, password}, nil, false},
		"key that was good":   {[]userauth.Method{key, password}, good, true},
		"key that was not it": {[]userauth.Method{key, password}, &ServerState{Key: "half"}, false},
		"only a password":     {[]userauth.Method{password}, nil, false},
		"password first":      {[]userauth.Method{password, key}, good, false},
		"no method":           {nil, good, false},
		"nil":                 {[]userauth.Method{nil}, good, false},
	} {
		a := &attempt{config: Config{Auth: test.auth}, known: test.known}
		require.Equal(t, test.want, a.firstProofDecides(), name)
	}
}
