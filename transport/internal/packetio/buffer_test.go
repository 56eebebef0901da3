package packetio_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

// belows are the kinds of connection that receive buffers tell apart: a socket, and
// anything else. Each function returns both ends.
var belows = map[string]func(t *testing.T) (near, far net.Conn){
	"pipe":   func(*testing.T) (near, far net.Conn) { return sshtest.Pipe() },
	"socket": sockets,
}

// sockets returns the ends of a TCP connection.
func sockets(t *testing.T) (near, far net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { near.Close() })
	far, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { far.Close() })
	return near, far
}

// send writes in the background: a burst may be more than the connection holds.
func send(t *testing.T, to net.Conn, b []byte) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = to.Write(b)
	}()
	t.Cleanup(func() {
		to.Close()
		<-over
	})
}

// pieces gives a stream in pieces of the sizes that a seed yields.
type pieces struct {
	stream []byte
	rand   *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.stream) == 0 {
		return 0, io.EOF
	}
	most := 1 << p.rand.IntN(19)
	n := copy(b[:min(len(b), 1+p.rand.IntN(most))], p.stream)
	p.stream = p.stream[n:]
	return n, nil
}

// A stream in any pieces, with packets of any sizes, yields the same packets.
func TestStreamInAnyPieces(t *testing.T) {
	protections(t, func(t *testing.T, cipher, mac string) {
		for seed := range uint64(20) {
			r := rand.New(rand.NewPCG(seed, 0))
			s := sealer(cipher, mac)
			var want [][]byte
			var stream []byte
			for range 40 {
				payload := bytes.Repeat([]byte{byte(r.Uint32())}, 1+r.IntN(1<<r.IntN(16)))
				want = append(want, payload)
				stream = append(stream, s.Seal(payload)...)
			}
			p := packetio.NewPackets(cipher, mac, bytesConn{Reader: &pieces{stream, r}})
			for i := range want {
				got, err := p.Open()
				require.NoError(t, err, "seed %d", seed)
				require.True(t, bytes.Equal(want[i], got), "seed %d, packet %d", seed, i)
			}
			_, err := p.Open()
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		}
	})
}

func TestStreamInAnyPiecesThroughSocket(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s := sealer("aes128-gcm@openssh.com", "")
	var want [][]byte
	var stream []byte
	for range 400 {
		payload := bytes.Repeat([]byte{byte(r.Uint32())}, 1+r.IntN(1<<r.IntN(16)))
		want = append(want, payload)
		stream = append(stream, s.Seal(payload)...)
	}
	near, far := sockets(t)
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.CopyBuffer(struct{ io.Writer }{far}, &pieces{stream, r}, make([]byte, 1<<18))
		far.Close()
	}()
	p := packetio.NewPackets("aes128-gcm@openssh.com", "", near)
	for i := range want {
		got, err := p.Open()
		require.NoError(t, err)
		require.True(t, bytes.Equal(want[i], got), "packet %d", i)
	}
	_, err := p.Open()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	<-over
}

// The largest packets of any config fit.
func TestLargestPacketFitsTheBuffer(t *testing.T) {
	for name, below := range belows {
		t.Run(name, func(t *testing.T) {
			near, far := below(t)
			s, p := sealer("aes128-gcm@openssh.com", ""), packetio.NewPackets("aes128-gcm@openssh.com", "", near)
			p.Allow(262144)
			payload := bytes.Repeat([]byte("nacre"), 262144/5-4)
			var stream []byte
			for range 3 {
				stream = append(stream, s.Seal(payload)...)
			}
			send(t, far, stream)
			for range 3 {
				got, err := p.Open()
				require.NoError(t, err)
				require.True(t, bytes.Equal(payload, got))
			}
		})
	}
}

// A sender that is always faster does not keep the waiting goroutines asleep.
func TestNotificationsInAFloodAreFrequent(t *testing.T) {
	for _, cipher := range []string{"chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com"} {
		near, far := sockets(t)
		s, p := sealer(cipher, ""), packetio.NewPackets(cipher, "", near)
		const packets = 500
		var stream []byte
		for range packets {
			stream = append(stream, s.Seal(make([]byte, 32<<10))...)
		}
		send(t, far, stream)
		since, most := 0, 0
		p.Notify(func() { since = 0 })
		for range packets {
			payload, err := p.Open()
			require.NoError(t, err)
			since += len(payload)
			most = max(most, since)
		}
		require.LessOrEqual(t, most, 300<<10, cipher)
	}
}

// A peer that announces a packet gets a buffer for the packet, not for bulk data.
func TestAnnouncedPacketHoldsLittle(t *testing.T) {
	near, far := sockets(t)
	p := packetio.NewPackets("", "", near)
	_, err := far.Write([]byte{0, 0, 0x80, 0x04}) // 32,772 bytes
	require.NoError(t, err)
	require.NoError(t, far.Close())
	_, err = p.Open()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.LessOrEqual(t, p.Held(), 48<<10)
	require.Positive(t, p.Held())
}
