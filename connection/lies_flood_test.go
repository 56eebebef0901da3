package connection_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/connection"
)

// answers reads the packets of the connection, counts the messages by number, sends back the
// data of a channel and grants requests. Reading goes on during writes, for a peer that floods
// must read the answers.
type answers struct {
	*peer
	echo uint32
	out  chan any

	mu      sync.Mutex
	changed sync.Cond
	counts  map[byte]int
}

func (a *answers) run() {
	for {
		packet, err := a.ReadPacket()
		if err != nil {
			close(a.out)
			return
		}
		var data dataMsg
		switch {
		case ssh.Unmarshal(packet, &data) == nil:
			a.out <- &dataMsg{a.echo, bytes.Clone(data.Data)}
		case packet[0] == 98:
			a.out <- &successMsg{binary.BigEndian.Uint32(packet[1:]) - 1000}
		default:
			a.mu.Lock()
			a.counts[packet[0]]++
			a.changed.Broadcast()
			a.mu.Unlock()
		}
	}
}

func (a *answers) write() {
	for m := range a.out {
		_ = a.WritePacket(marshal(m))
	}
}

// await returns after n messages of that number.
func (a *answers) await(number byte, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.counts[number] < n {
		a.changed.Wait()
	}
}

// floods are messages about an open channel that come in turn, and the number of the answer to
// each; 0 stands for none.
var floods = map[string]struct {
	messages func(id uint32) []any
	answer   byte
}{
	"P8, A8 unknown message and banner": {func(uint32) []any { return []any{[]byte{101, 1}, []byte{53, 0, 0, 0, 0, 0, 0, 0, 0}} }, 0},
	"C4 adjustments":                    {func(id uint32) []any { return []any{&adjustMsg{id, 1}, &adjustMsg{id, 0}} }, 0},
	"C8 EOF and no data":                {func(id uint32) []any { return []any{&eofMsg{id}, &dataMsg{id, nil}} }, 0},
	"C9 unknown types of data": {func(id uint32) []any {
		return []any{&extendedMsg{id, 0, []byte("x")}, &extendedMsg{id, 2, []byte("x")}, &extendedMsg{id, 1<<32 - 1, []byte("x")}}
	}, 0},
	"C10 answers to nothing": {func(id uint32) []any {
		return []any{&requestSuccessMsg{[]byte("reply")}, &requestFailureMsg{}, &successMsg{id}, &failureMsg{id}}
	}, 0},
	"C11 global requests": {func(uint32) []any {
		return []any{&globalRequestMsg{"keepalive@openssh.com", true, nil}, &globalRequestMsg{"hostkeys-00@openssh.com", true, make([]byte, 500)}}
	}, 82},
	"C11 keepalive on a channel": {func(id uint32) []any { return []any{&requestMsg{id, "keepalive@openssh.com", true, nil}} }, 100},
	"C12 opens": {func(uint32) []any {
		return []any{&openMsg{"session", 7, 1, 1, nil}, &openMsg{"x11", 7, 1, 1, make([]byte, 16)}, &openMsg{"auth-agent@openssh.com", 7, 1, 1, nil}}
	}, 92},
	"C12 opens that nobody decides": {func(uint32) []any { return []any{&openMsg{"undecided", 7, 1, 1, nil}} }, 92},
	"C15 exit statuses": {func(id uint32) []any {
		return []any{&requestMsg{id, "exit-status", false, u32(0)}, &requestMsg{id, "exit-status", false, []byte{0}}}
	}, 0},
	"C25 roaming and more": {func(id uint32) []any {
		return []any{&requestMsg{id, "eow@openssh.com", false, nil}, &globalRequestMsg{"resume@appgate.com", false, make([]byte, 100)}}
	}, 0},
}

// Every message of a flood is answered as a single message would be, another channel works
// meanwhile, and nothing is kept.
func TestFloodsStallNobody(t *testing.T) {
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			const n = 100_000
			c, p := start(t, nil)
			c.HandleOpen("undecided", func(context.Context, *connection.Open) {})
			flooded, id := p.open(c, nil)
			other, echo := p.open(c, nil)
			p.in.setLimit(100_000)
			p.out.setLimit(100_000)
			a := &answers{peer: p, echo: echo, out: make(chan any, 10), counts: make(map[byte]int)}
			a.changed.L = &a.mu
			go a.run()
			go a.write()
			pingPong := func() {
				_, err := other.Write([]byte("x"))
				require.NoError(t, err)
				_, err = other.Read(make([]byte, 1))
				require.NoError(t, err)
			}
			memory, goroutines := heap(), runtime.NumGoroutine()
			var packets [][]byte
			for _, m := range flood.messages(id) {
				packet, raw := m.([]byte)
				if !raw {
					packet = marshal(m)
				}
				packets = append(packets, packet)
			}
			sent := call(func() error {
				for i := range n {
					if err := p.WritePacket(packets[i%len(packets)]); err != nil {
						return err
					}
				}
				return nil
			})
			for len(sent) == 0 {
				pingPong()
			}
			require.NoError(t, <-sent)
			if flood.answer != 0 {
				a.await(flood.answer, n)
			}
			pingPong() // behind the flood
			require.NoError(t, flooded.Request(t.Context(), "mine", nil), "its own answer")
			require.Less(t, heap()-memory, int64(8<<20))
			require.Less(t, runtime.NumGoroutine(), goroutines+100)
			a.mu.Lock()
			defer a.mu.Unlock()
			delete(a.counts, 93) // the window for the discarded data
			if flood.answer != 0 {
				require.Equal(t, map[byte]int{flood.answer: n}, a.counts)
			} else {
				require.Empty(t, a.counts)
			}
		})
	}
}

// C1 and C18: an idle reader costs its window and no more, and a byte beyond the window ends
// the connection.
func TestUnreadDataCostsTheWindow(t *testing.T) {
	const window, channels = 256 << 10, 10
	c, p := start(t, &connection.Config{Window: window})
	p.out.setLimit(1000)
	memory := heap()
	data := make([]byte, 1<<10)
	var last uint32
	for range channels {
		var unread *connection.Channel
		unread, last = p.open(c, nil)
		defer unread.Close()
		for range window / len(data) {
			p.send(&dataMsg{last, data})
		}
	}
	p.send(&globalRequestMsg{"done", true, nil})
	expect[requestFailureMsg](p)
	require.Less(t, heap()-memory, int64(channels*window*5/4))
	p.send(&dataMsg{last, data[:1]})
	err := c.Wait()
	require.ErrorAs(t, err, new(*connection.ProtocolError))
	require.ErrorContains(t, err, "data of 1 bytes exceeds the window of 0 bytes")
}

// C5: a write of any size waits for the window without turning round.
func TestWriteThatIsMuchLargerThanTheWindowWaits(t *testing.T) {
	c, p := start(t, nil)
	ch, _ := p.openWith(c, nil, 100, 100)
	var n int
	written := call(func() (err error) { n, err = ch.Write(huge(t)); return err })
	require.Len(t, expect[dataMsg](p).Data, 100)
	require.NoError(t, ch.SetWriteDeadline(time.Now()))
	require.ErrorContains(t, <-written, "timeout")
	require.Equal(t, 100, n)
	p.quiet()
}

// C20: a consumer takes 10 kB/s from a peer with 1 GiB to send. The consumer holds a window,
// however long the transfer takes: an hour here.
func TestSlowConsumerHoldsAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		p.out.setLimit(100_000)
		ch, id := p.open(c, nil)
		memory := heap()
		go func() { // sends as much as allowed
			data := make([]byte, 32<<10)
			for granted := 2 << 20; ; {
				for ; granted >= len(data); granted -= len(data) {
					if p.WritePacket(marshal(&dataMsg{id, data})) != nil {
						return
					}
				}
				packet, err := p.ReadPacket()
				var m adjustMsg
				if err == nil && ssh.Unmarshal(packet, &m) == nil {
					granted += int(m.Bytes)
				}
				if err != nil {
					return
				}
			}
		}()
		piece := make([]byte, 10_000)
		for second := range 3600 {
			_, err := io.ReadFull(ch, piece)
			require.NoError(t, err)
			time.Sleep(time.Second)
			if second%300 == 0 {
				require.Less(t, heap()-memory, int64(10<<20))
			}
		}
		require.NoError(t, c.Close())
	})
}

// C17: a peer may flood us before reading.
func TestPeerThatFloodsBeforeItReads(t *testing.T) {
	c, _ := serve(t, nil, 64<<10, 32<<10)
	ch := openTo(t, c, "bulk before reading")
	written := call(func() error {
		_, err := ch.Write(pattern(bulk))
		return errors.Join(err, ch.CloseWrite())
	})
	var got bytes.Buffer
	_, err := ch.WriteTo(&got)
	require.NoError(t, err)
	require.NoError(t, <-written)
	require.True(t, bytes.Equal(pattern(bulk), got.Bytes()))
}
