package connection_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// P11: no decoder takes a message that is cut or has bytes behind, unless RFC 4254 leaves the
// end of the message open. A refusal may lack its language, as with some servers. Bytes behind
// REQUEST_FAILURE are ignored, as by OpenSSH's client.
func TestTruncatedAndTrailing(t *testing.T) {
	for name, test := range map[string]struct {
		message func(open, opening uint32) any
		least   int  // bytes that make a message
		rest    bool // and any bytes behind
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

// fill is a packet of data for half of the window.
func fill(id uint32) any { return &dataMsg{id, bytes.Repeat([]byte("f"), 100)} }
