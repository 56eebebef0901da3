package connection_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// lies are messages to an open channel, or to a channel that is being opened.
var lies = map[string]func(open, opening uint32) []any{
	"empty packet":                     func(_, _ uint32) []any { return []any{[]byte{}} },
	"message of userauth":              func(_, _ uint32) []any { return []any{[]byte{52}} },
	"request of userauth":              func(_, _ uint32) []any { return []any{[]byte{60, 0, 0, 0, 0}} },
	"message of the transport":         func(_, _ uint32) []any { return []any{[]byte{6}} },
	"adjust of 2^32-1":                 func(o, _ uint32) []any { return []any{&adjustMsg{o, 1}, &adjustMsg{o, 1<<32 - 1}} },
	"message cut short":                func(_, _ uint32) []any { return []any{[]byte{94, 0, 0}} },
	"global request cut short":         func(_, _ uint32) []any { return []any{[]byte{80, 0, 0, 0, 9, 'x'}} },
	"open cut short":                   func(_, _ uint32) []any { return []any{[]byte{90, 0, 0, 0, 1, 'x', 0}} },
	"data without channel":             func(o, _ uint32) []any { return []any{&dataMsg{o + 9, nil}} },
	"data for 2^32-1":                  func(_, _ uint32) []any { return []any{&dataMsg{1<<32 - 1, nil}} },
	"adjust without channel":           func(o, _ uint32) []any { return []any{&adjustMsg{o + 9, 1}} },
	"EOF without channel":              func(o, _ uint32) []any { return []any{&eofMsg{o + 9}} },
	"CLOSE without channel":            func(o, _ uint32) []any { return []any{&closeMsg{o + 9}} },
	"CLOSE twice":                      func(o, _ uint32) []any { return []any{&closeMsg{o}, &closeMsg{o}} },
	"data after CLOSE":                 func(o, _ uint32) []any { return []any{&closeMsg{o}, &dataMsg{o, nil}} },
	"request without channel":          func(o, _ uint32) []any { return []any{&requestMsg{o + 9, "x", true, nil}} },
	"success without channel":          func(o, _ uint32) []any { return []any{&successMsg{o + 9}} },
	"data before confirmation":         func(_, o uint32) []any { return []any{&dataMsg{o, nil}} },
	"adjust before confirmation":       func(_, o uint32) []any { return []any{&adjustMsg{o, 1}} },
	"EOF before confirmation":          func(_, o uint32) []any { return []any{&eofMsg{o}} },
	"CLOSE before confirmation":        func(_, o uint32) []any { return []any{&closeMsg{o}} },
	"confirmation of nothing":          func(o, _ uint32) []any { return []any{&confirmMsg{o + 9, 1, 1, 1, nil}} },
	"confirmation twice":               func(_, o uint32) []any { return []any{&confirmMsg{o, 1, 1, 1, nil}, &confirmMsg{o, 1, 1, 1, nil}} },
	"confirmation without packets":     func(_, o uint32) []any { return []any{&confirmMsg{o, 1, 1, 0, nil}} },
	"confirmation cut short":           func(_, o uint32) []any { return []any{marshal(&confirmMsg{o, 1, 1, 1, nil})[:16]} },
	"refusal of nothing":               func(o, _ uint32) []any { return []any{&openFailureMsg{o + 9, 1, "", ""}} },
	"refusal of an open channel":       func(o, _ uint32) []any { return []any{&openFailureMsg{o, 1, "", ""}} },
	"refusal cut short":                func(_, o uint32) []any { return []any{[]byte{92, 0, 0, 0, byte(o)}} },
	"window sum":                       func(o, _ uint32) []any { return []any{&adjustMsg{o, 1<<32 - 10}, &adjustMsg{o, 10}} },
	"adjust cut short":                 func(o, _ uint32) []any { return []any{marshal(&adjustMsg{o, 1})[:7]} },
	"adjust too long":                  func(o, _ uint32) []any { return []any{append(marshal(&adjustMsg{o, 1}), 0)} },
	"packet of more than we granted":   func(o, _ uint32) []any { return []any{&dataMsg{o, make([]byte, 101)}} },
	"extended, more than we granted":   func(o, _ uint32) []any { return []any{&extendedMsg{o, 1, make([]byte, 101)}} },
	"unknown, more than we granted":    func(o, _ uint32) []any { return []any{&extendedMsg{o, 7, make([]byte, 101)}} },
	"one byte more than the window":    func(o, _ uint32) []any { return []any{fill(o), fill(o), &dataMsg{o, []byte("x")}} },
	"one byte more of stderr":          func(o, _ uint32) []any { return []any{fill(o), fill(o), &extendedMsg{o, 1, []byte("x")}} },
	"packet that is too large, late":   func(o, _ uint32) []any { return []any{&eofMsg{o}, &dataMsg{o, make([]byte, 101)}} },
	"data shorter than it says":        func(o, _ uint32) []any { return []any{marshal(&dataMsg{o, []byte("xyz")})[:11]} },
	"data longer than it says":         func(o, _ uint32) []any { return []any{append(marshal(&dataMsg{o, nil}), 0)} },
	"extended data without type":       func(o, _ uint32) []any { return []any{append([]byte{95}, u32(o)...)} },
	"channel request cut short":        func(o, _ uint32) []any { return []any{append(append([]byte{98}, u32(o)...), 0, 0, 1, 0)} },
	"data length field cut short":      func(o, _ uint32) []any { return []any{append(append([]byte{94}, u32(o)...), 0, 0)} },
	"length of data beyond the packet": func(o, _ uint32) []any { return []any{append(append([]byte{94}, u32(o)...), 255, 255, 255, 255, 0)} },
}

// P11, A1, A3, C1, C2, C4, C7 and C8: messages that RFC 4254 does not allow, over a connection
// that has an open channel and is opening another.
func TestLiesEndTheConnection(t *testing.T) {
	for name, lie := range lies {

		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := start(t, &connection.Config{Window: 200, MaxPacket: 100})
				ch, open := p.openWith(c, nil, 0, 100)
				opening := call(func() error {
					_, err := c.OpenChannel(context.Background(), "x", nil, nil)
					return err
				})
				p.send(lie(open, expect[openMsg](p).Sender)...)
				err := c.Wait()
				require.ErrorAs(t, err, new(*connection.ProtocolError))
				require.Less(t, len(err.Error()), 300)
				<-opening
				got, err := io.ReadAll(ch)
				if strings.HasPrefix(name, "one byte more") {
					require.Len(t, got, 200, "what came before the lie is delivered")
				} else {
					require.Empty(t, got, "and nothing of the lie")
				}
				if err != nil { // the stream had not ended well before the lie
					require.ErrorAs(t, err, new(*connection.ProtocolError))
				}
				_, err = ch.Write([]byte("x"))
				require.ErrorIs(t, err, net.ErrClosed)
			})
		})
	}
}

// C7 and C8: sshd with ClientAliveInterval may ask about a channel after its own CLOSE, before
// reading ours. paramiko's server may answer a request after CLOSE.
func TestLateMessagesToAClosedChannelAreForgiven(t *testing.T) {
	c, p := start(t, nil)
	ch, id := p.open(c, nil)
	p.send(&closeMsg{id}, &requestMsg{id, "keepalive@openssh.com", true, nil}, &adjustMsg{id, 1}, &successMsg{id}, &failureMsg{id})
	expect[closeMsg](p)
	require.NoError(t, ch.Wait())
	p.send(&globalRequestMsg{"x@example.com", true, nil})
	expect[requestFailureMsg](p) // the connection goes on
}

// teller counts the calls of Unimplemented.
type teller struct {
	connection.Transport
	told int
}

func (t *teller) Unimplemented() error { t.told++; return nil }

// P8 and A8: a late banner of userauth, and messages without a meaning in RFC 4254.
func TestUnknownMessagesArePassedOver(t *testing.T) {
	for _, tells := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := pipe()
			told := &teller{Transport: a}
			var transport connection.Transport = a
			if tells {
				transport = told
			}
			c := connection.New(transport, nil)
			defer c.Close()
			for _, number := range []byte{53, 83, 89, 101, 127} {
				require.NoError(t, b.WritePacket([]byte{number, 0, 0, 0, 0}))
			}
			require.NoError(t, b.WritePacket(marshal(&globalRequestMsg{"x@example.com", true, nil})))
			answer, err := b.ReadPacket()
			require.NoError(t, err)
			require.Equal(t, []byte{82}, answer)
			if tells {
				require.Equal(t, 5, told.told)
			}
		})
	}
}
