package connection_test

import (
	"context"
	"io"
	"testing"

	"github.com/nacre-ssh/nacre/connection"
)

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
