package channel_test

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/channel"
)

func status(payload string) requestMsg {
	return requestMsg{Name: "exit-status", Payload: []byte(payload)}
}

func signal(payload string) requestMsg {
	return requestMsg{Name: "exit-signal", Payload: []byte(payload)}
}

// C15: the end of a command is known whatever else the server sends.
func TestHowACommandEnds(t *testing.T) {
	long := strings.Repeat("m", 200<<10)
	killed := &channel.ExitError{Status: -1, Signal: ssh.SIGKILL}
	three := &channel.ExitError{Status: 3}
	for name, test := range map[string]struct {
		ends []requestMsg
		want error // nil: a good end
	}{
		"0":                       {[]requestMsg{status("\x00\x00\x00\x00")}, nil},
		"1":                       {[]requestMsg{status("\x00\x00\x00\x01")}, &channel.ExitError{Status: 1}},
		"256":                     {[]requestMsg{status("\x00\x00\x01\x00")}, &channel.ExitError{Status: 256}},
		"2^32-1":                  {[]requestMsg{status("\xff\xff\xff\xff")}, &channel.ExitError{Status: math.MaxUint32}},
		"truncated":               {[]requestMsg{status("\x00\x00\x00")}, channel.ErrNoExitStatus},
		"empty":                   {[]requestMsg{status("")}, channel.ErrNoExitStatus},
		"one byte too many":       {[]requestMsg{status("\x00\x00\x00\x00\x00")}, channel.ErrNoExitStatus},
		"truncated, then right":   {[]requestMsg{status("\x00"), status("\x00\x00\x00\x03")}, three},
		"twice":                   {[]requestMsg{status("\x00\x00\x00\x03"), status("\x00\x00\x00\x00")}, three},
		"status, then signal":     {[]requestMsg{status("\x00\x00\x00\x03"), signal(str("KILL") + "\x00" + str("") + str(""))}, three},
		"known signal":            {[]requestMsg{signal(str("KILL") + "\x00" + str("") + str(""))}, killed},
		"signal, then status 0":   {[]requestMsg{signal(str("KILL") + "\x00" + str("") + str("")), status("\x00\x00\x00\x00")}, killed},
		"signal without language": {[]requestMsg{signal(str("KILL") + "\x00" + str(""))}, killed},
		"signal without message":  {[]requestMsg{signal(str("KILL") + "\x00")}, channel.ErrNoExitStatus},
		"empty signal":            {[]requestMsg{signal(str("") + "\x00" + str("") + str(""))}, channel.ErrNoExitStatus},
		"signal of huge length":   {[]requestMsg{signal("\xff\xff\xff\xffKILL")}, channel.ErrNoExitStatus},
		"unknown signal": {
			[]requestMsg{signal(str("WINCH") + "\x01" + str("core") + str("en"))},
			&channel.ExitError{Status: -1, Signal: "WINCH", Message: "core"},
		},
		"vendor's signal": {
			[]requestMsg{signal(str("X@y") + "\x00" + str("why\r\n\x1b[0m") + str(""))},
			&channel.ExitError{Status: -1, Signal: "X@y", Message: "why\r\n\x1b[0m"},
		},
		"long texts": {
			[]requestMsg{signal(str(long) + "\x00" + str(long) + str(long))},
			channel.ErrNoExitStatus, // beyond the queue of a handler: refused
		},
		"long message": {
			[]requestMsg{signal(str(strings.Repeat("S", 1000)) + "\x00" + str(long) + str(""))},
			&channel.ExitError{Status: -1, Signal: ssh.Signal(strings.Repeat("S", 64)), Message: long[:1024]},
		},
		"unknown requests": {
			[]requestMsg{{Name: "eow@openssh.com"}, {Name: "exit-status@x", Payload: u32(0)}}, channel.ErrNoExitStatus,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, order := range []string{"before data", "after data", "after EOF"} {
				synctest.Test(t, func(t *testing.T) { ends(t, order, test.ends, test.want) })
			}
		})
	}
}

// ends plays the end of a command in a given order.
func ends(t *testing.T, order string, requests []requestMsg, want error) {
	c, p := start(t)
	s, id := p.command(c)
	exit := func() {
		for _, r := range requests {
			r.Recipient, r.WantReply = id, false
			p.send(r)
		}
	}
	if order == "before data" {
		exit()
	}
	p.send(dataMsg{id, []byte("out")}, extendedMsg{id, 1, []byte("err")})
	if order == "after data" {
		exit()
	}
	p.send(eofMsg{id})
	if order == "after EOF" {
		exit()
	}
	p.send(closeMsg{id})
	err := s.Wait(t.Context()) // does not depend on the output being read
	if exit := new(channel.ExitError); errors.As(want, &exit) {
		require.Equal(t, want, err, order)
		require.Less(t, len(err.Error()), 5000)
		require.NotContains(t, err.Error(), "\x1b")
		require.NotContains(t, err.Error(), "\n")
	} else {
		require.ErrorIs(t, err, want, order)
	}
	require.Equal(t, "out", readAll(t, s))
	require.Equal(t, "err", readAll(t, s.Stderr()))
}

// C15: a flood of exit signals counts as one signal.
func TestEveryExitSignalOfAFloodIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, id := p.command(c)
		for i := range 100_000 {
			p.send(requestMsg{id, "exit-signal", false, []byte(str("KILL") + "\x00" + str("") + str(string(u32(uint32(i)))))})
		}
		p.send(closeMsg{id})
		require.Equal(t, &channel.ExitError{Status: -1, Signal: ssh.SIGKILL}, s.Wait(t.Context()))
	})
}

func TestExitRequestsAreAnsweredWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		_, id := p.command(c)
		p.send(requestMsg{id, "exit-status", true, u32(1)})
		expect[successMsg](p)
		p.send(requestMsg{id, "exit-status", true, nil})
		expect[failureMsg](p)
		p.send(requestMsg{id, "keepalive@openssh.com", true, nil})
		expect[failureMsg](p)
	})
}

// C14: a session without an exit status has not ended well.
func TestNoExitStatus(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(p *peer, id uint32)
		lost bool
	}{
		"EOF and CLOSE":   {func(p *peer, id uint32) { p.send(eofMsg{id}, closeMsg{id}) }, false},
		"only CLOSE":      {func(p *peer, id uint32) { p.send(closeMsg{id}) }, false},
		"connection lost": {func(p *peer, id uint32) { p.lose(os.ErrPermission) }, true},
		"connection lost after EOF": {func(p *peer, id uint32) {
			p.send(eofMsg{id})
			p.lose(os.ErrPermission)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				s, id := p.command(c)
				p.send(dataMsg{id, []byte("first")}, extendedMsg{id, 1, []byte("both")})
				test.end(p, id)
				err := s.Wait(t.Context())
				require.ErrorIs(t, err, channel.ErrNoExitStatus)
				require.Equal(t, test.lost, errors.Is(err, net.ErrClosed))
				require.Equal(t, test.lost, errors.Is(err, os.ErrPermission))
				require.NotErrorAs(t, err, new(*channel.ExitError))
				out, err := io.ReadAll(s)
				require.Equal(t, "first", string(out))
				require.Equal(t, test.lost && name != "connection lost after EOF", err != nil)
				errs, _ := io.ReadAll(s.Stderr())
				require.Equal(t, "both", string(errs))
			})
		})
	}
}

// C14: the rest of the output may have been lost with the connection.
func TestStatusBeforeTheConnectionWasLostIsNotEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, id := p.command(c)
		p.send(dataMsg{id, []byte("out")}, requestMsg{id, "exit-status", false, u32(0)})
		p.lose(os.ErrPermission)
		err := s.Wait(t.Context())
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, err, os.ErrPermission)
		require.NotErrorIs(t, err, channel.ErrNoExitStatus)
		require.ErrorContains(t, err, "its output may not be whole")
		out, err := io.ReadAll(s)
		require.Equal(t, "out", string(out))
		require.ErrorIs(t, err, os.ErrPermission)
	})
}

func TestExitErrorSaysHow(t *testing.T) {
	for want, err := range map[string]error{
		"command exited with status 3":                 &channel.ExitError{Status: 3, Stderr: []byte("not shown")},
		`command was ended by signal "TERM"`:           &channel.ExitError{Status: -1, Signal: ssh.SIGTERM},
		`command was ended by signal "X\n": "why\x1b"`: &channel.ExitError{Status: -1, Signal: "X\n", Message: "why\x1b"},
	} {
		require.EqualError(t, err, want)
	}
}

// After EOF nothing can be missing: a host that shuts down, say, tells its status and has no
// time to close the channel.
func TestStatusAndEOFBeforeTheConnectionWasLostAreEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, status := range []uint32{0, 5} {
			c, p := start(t)
			s, id := p.command(c)
			p.send(dataMsg{id, []byte("out")}, eofMsg{id}, requestMsg{id, "exit-status", false, u32(status)})
			p.lose(os.ErrPermission)
			err := s.Wait(t.Context())
			var exit *channel.ExitError
			require.Equal(t, status != 0, errors.As(err, &exit), "%v", err)
			require.Equal(t, status != 0, err != nil)
			out, err := io.ReadAll(s)
			require.NoError(t, err)
			require.Equal(t, "out", string(out))
		}
	})
}

// C8: data behind EOF is missing, since nobody can read it.
func TestDataAfterEOFAreMissing(t *testing.T) {
	for name, end := range map[string]func(p *peer, id uint32){
		"channel closed":  func(p *peer, id uint32) { p.send(closeMsg{id}) },
		"connection lost": func(p *peer, _ uint32) { p.lose(os.ErrPermission) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t)
				s, id := p.command(c)
				p.send(dataMsg{id, []byte("out")}, requestMsg{id, "exit-status", false, u32(0)}, eofMsg{id}, dataMsg{id, []byte("more")})
				end(p, id)
				require.ErrorContains(t, s.Wait(t.Context()), "its output may not be whole")
				out, err := io.ReadAll(s)
				require.NoError(t, err)
				require.Equal(t, "out", string(out))
			})
		})
	}
}

// The first answer may be CLOSE: paramiko's threaded server can run a short command and close
// the channel before answering the request.
func TestStartOfACommandThatHasEndedAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t)
		s, id := p.session(c)
		started := make(chan error, 1)
		go func() { started <- s.Start(t.Context(), "true") }()
		expect[requestMsg](p)
		p.send(dataMsg{id, []byte("out")}, requestMsg{id, "exit-status", false, u32(4)}, eofMsg{id}, closeMsg{id})
		require.NoError(t, <-started)
		out, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, "out", string(out))
		var exit *channel.ExitError
		require.ErrorAs(t, s.Wait(t.Context()), &exit)
		require.Equal(t, 4, exit.Status)
	})
}
