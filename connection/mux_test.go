package connection_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// lies are messages to an open channel and to one that is being opened.
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

// P11, A1, A3, C1, C2, C4, C7 and C8: what RFC 4254 does not allow, over a
// connection that has one open channel and is opening another.
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

// P11: no decoder takes a message that is cut or has something behind it, unless
// RFC 4254 leaves its end to somebody else. A refusal may lack its language, as
// some servers have it, and what is behind REQUEST_FAILURE is for nobody:
// OpenSSH's client does not look there either.
func TestTruncatedAndTrailing(t *testing.T) {
	for name, test := range map[string]struct {
		message func(open, opening uint32) any
		least   int  // bytes that make a message
		rest    bool // and any that follow
	}{
		"GLOBAL_REQUEST":    {func(_, _ uint32) any { return &globalRequestMsg{"name", true, nil} }, 10, true},
		"REQUEST_SUCCESS":   {func(_, _ uint32) any { return &requestSuccessMsg{} }, 1, true},
		"REQUEST_FAILURE":   {func(_, _ uint32) any { return &requestFailureMsg{} }, 1, true},
		"OPEN":              {func(_, _ uint32) any { return &openMsg{"x11", 1, 1, 1, nil} }, 20, true},
		"OPEN_CONFIRMATION": {func(_, o uint32) any { return &confirmMsg{o, 1, 1, 1, nil} }, 17, true},
		"OPEN_FAILURE":      {func(_, o uint32) any { return &openFailureMsg{o, 1, "no", "en"} }, 15, true},
		"WINDOW_ADJUST":     {func(o, _ uint32) any { return &adjustMsg{o, 1} }, 9, false},
		"DATA":              {func(o, _ uint32) any { return &dataMsg{o, []byte("data")} }, 13, false},
		"EXTENDED_DATA":     {func(o, _ uint32) any { return &extendedMsg{o, 1, []byte("data")} }, 17, false},
		"EOF":               {func(o, _ uint32) any { return &eofMsg{o} }, 5, false},
		"CLOSE":             {func(o, _ uint32) any { return &closeMsg{o} }, 5, false},
		"REQUEST":           {func(o, _ uint32) any { return &requestMsg{o, "name", true, nil} }, 14, true},
		"SUCCESS":           {func(o, _ uint32) any { return &successMsg{o} }, 5, false},
		"FAILURE":           {func(o, _ uint32) any { return &failureMsg{o} }, 5, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tell := func(change func(b []byte) []byte) error {
					c, p := start(t, nil)
					ch, open := p.open(c, nil)
					opening := call(func() error {
						_, err := c.OpenChannel(t.Context(), "x", nil, nil)
						return err
					})
					p.send(change(marshal(test.message(open, expect[openMsg](p).Sender))))
					synctest.Wait()
					_ = p.Close()
					err := c.Wait()
					<-opening
					if errors.As(err, new(*connection.ProtocolError)) {
						got, _ := io.ReadAll(ch)
						require.Empty(t, got, "an effect in part")
					}
					return err
				}
				whole := len(marshal(test.message(0, 0)))
				for n := 1; n <= whole+64; n++ {
					err := tell(func(b []byte) []byte { return append(b, make([]byte, 64)...)[:n] })
					if n < test.least || n > whole && !test.rest {
						require.ErrorAs(t, err, new(*connection.ProtocolError), "%d bytes", n)
					} else {
						require.NotErrorAs(t, err, new(*connection.ProtocolError), "%d bytes", n)
					}
				}
			})
		})
	}
}

// fill is a packet of data that fills half of the window.
func fill(id uint32) any { return &dataMsg{id, bytes.Repeat([]byte("f"), 100)} }

// C4
func TestManySmallAdjustments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.openWith(c, nil, 0, 1<<20)
		for range 100_000 {
			p.send(&adjustMsg{id, 1})
		}
		synctest.Wait()
		n, err := ch.Write(make([]byte, 100_000))
		require.NoError(t, err)
		require.Equal(t, 100_000, n)
	})
}

// C4: nobody has any use for window after our EOF or CLOSE.
func TestAdjustmentsAfterTheEndAreIgnored(t *testing.T) {
	c, p := start(t, nil)
	ch, id := p.open(c, nil)
	require.NoError(t, ch.CloseWrite())
	expect[eofMsg](p)
	twice := []any{&adjustMsg{id, 1<<32 - 1}, &adjustMsg{id, 1<<32 - 1}}
	alive := func() {
		p.send(append(twice, &globalRequestMsg{"x@example.com", true, nil})...)
		expect[requestFailureMsg](p)
	}
	alive()
	require.NoError(t, ch.Close())
	expect[closeMsg](p)
	alive()
	p.send(&closeMsg{id})
	alive()
}

func FuzzPackets(f *testing.F) {
	for _, seed := range []any{
		&globalRequestMsg{"hostkeys-00@openssh.com", true, []byte("x")}, &requestSuccessMsg{}, &requestFailureMsg{},
		&openMsg{"x", 1, 1, 1, nil}, &confirmMsg{1, 2, 3, 4, nil}, &openFailureMsg{1, 2, "no", "en"},
		&adjustMsg{0, 1}, &dataMsg{0, []byte("x")}, &extendedMsg{0, 1, []byte("x")}, &eofMsg{0}, &closeMsg{0},
		&requestMsg{0, "exit-status", true, u32(1)}, &successMsg{0}, &failureMsg{0},
	} {
		packet := marshal(seed)
		f.Add(append([]byte{byte(len(packet))}, packet...))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		ours, theirs := pipe()
		c := connection.New(ours, &connection.Config{Window: 1000})
		c.HandleOpen("x", func(_ context.Context, o *connection.Open) { _, _ = o.Accept(nil) })
		c.HandleRequest("", func(_ context.Context, r *connection.Request) ([]byte, bool) { return r.Payload, true })
		opened := make(chan struct{})
		go func() {
			defer close(opened)
			if ch, err := c.OpenChannel(context.Background(), "session", nil, nil); err == nil {
				_, _ = io.Copy(ch, ch)
			}
		}()
		_, _ = theirs.ReadPacket()
		_ = theirs.WritePacket(marshal(&confirmMsg{0, 0, 10, 10, nil}))
		for len(script) > 0 {
			n := min(int(script[0]), len(script)-1)
			_ = theirs.WritePacket(script[1 : n+1])
			script = script[n+1:]
		}
		_ = theirs.Close()
		if c.Wait() == nil {
			t.Error("the connection ended without a cause")
		}
		<-opened
		_ = c.Close()
	})
}

// C7 and C8: sshd with ClientAliveInterval may ask about a channel whose CLOSE it has sent,
// before it has read ours. paramiko's server may answer a request after it.
func TestLateMessagesToAClosedChannelAreForgiven(t *testing.T) {
	c, p := start(t, nil)
	ch, id := p.open(c, nil)
	p.send(&closeMsg{id}, &requestMsg{id, "keepalive@openssh.com", true, nil}, &adjustMsg{id, 1}, &successMsg{id}, &failureMsg{id})
	expect[closeMsg](p)
	require.NoError(t, ch.Wait())
	p.send(&globalRequestMsg{"x@example.com", true, nil})
	expect[requestFailureMsg](p) // the connection goes on
}

// teller counts what the connection says nobody knows.
type teller struct {
	connection.Transport
	told int
}

func (t *teller) Unimplemented() error { t.told++; return nil }

// P8 and A8: a late banner of userauth, and what RFC 4254 has no meaning for.
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

// What comes after EOF is lost, but it must not stop a peer that wants to send
// all of it before it closes the channel, as Twisted Conch does.
func TestDataAfterEOFIsGivenBackAsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, &connection.Config{Window: 200, MaxPacket: 100})
		ch, id := p.openWith(c, nil, 0, 100)
		p.send(fill(id), &eofMsg{id})
		got, err := io.ReadAll(ch)
		require.NoError(t, err)
		require.Len(t, got, 100)
		window := uint32(100)
		for range 20 {
			for window < 100 {
				window += expect[adjustMsg](p).Bytes
			}
			p.send(fill(id))
			window -= 100
		}
		p.send(&closeMsg{id})
		require.ErrorAs(t, ch.Wait(), new(*connection.ProtocolError), "some of the data was lost")
	})
}
