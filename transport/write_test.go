package transport_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

// counted returns a client after its handshake, over a connection that counts.
func counted(t *testing.T, run func(p *sshtest.Peer)) (*transport.Conn, *counter) {
	t.Helper()
	below := &counter{Conn: dial(t, scripted(t, func(p *sshtest.Peer) {
		p.Handshake()
		run(p)
	}))}
	c := transport.Client(below, &transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey())})
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.Handshake(t.Context()))
	return c, below
}

func TestHandshakeIsThreeWrites(t *testing.T) {
	_, below := counted(t, drain)
	require.Equal(t, 3, below.count(), "version and KEXINIT, first message of the method, NEWKEYS")
}

func TestManyPacketsAreFewWrites(t *testing.T) {
	var packets [][]byte
	for i := range 1000 {
		packets = append(packets, binary.BigEndian.AppendUint32([]byte{94}, uint32(i)))
	}
	// One packet larger than the whole buffer, among small ones.
	packets = append(packets, bytes.Repeat([]byte{95}, 200000), []byte{96})
	got := make(chan [][]byte, 1)
	c, below := counted(t, func(p *sshtest.Peer) {
		var all [][]byte
		for range packets {
			all = append(all, p.Receive())
		}
		got <- all
		p.Drain()
	})
	before := below.count()
	require.NoError(t, c.WritePackets(packets...))
	require.Equal(t, packets, <-got)
	require.LessOrEqual(t, below.count()-before, 4)
	before = below.count()
	require.NoError(t, c.WritePacket([]byte{80}))
	require.Equal(t, 1, below.count()-before)
}

func TestServiceRequestLeavesWithTheNextPacket(t *testing.T) {
	c, below := counted(t, func(p *sshtest.Peer) {
		p.Receive(5)
		p.Receive(50)
		p.Receive(90)
		p.Send([]byte("\x06\x00\x00\x00\x01x"), []byte{52})
		p.Drain()
	})
	before := below.count()
	require.NoError(t, c.RequestService("x"))
	require.Equal(t, before, below.count())
	require.NoError(t, c.WritePackets([]byte{50}, []byte{90}))
	require.Equal(t, before+1, below.count())
	packet, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{52}, packet)
	require.Equal(t, before+1, below.count())
}

func TestServiceRequestLeavesBeforeARead(t *testing.T) {
	c, _ := counted(t, func(p *sshtest.Peer) {
		p.Receive(5)
		p.Send([]byte("\x06\x00\x00\x00\x01x"), []byte{80})
		p.Drain()
	})
	require.NoError(t, c.RequestService("x"))
	packet, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{80}, packet)
}

func TestServiceRequestDoesNotWaitForAPacketWhileSomebodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := counted(t, func(p *sshtest.Peer) {
			p.Receive(5)
			p.Send([]byte("\x06\x00\x00\x00\x01x"), []byte{80})
			p.Drain()
		})
		read := make(chan error, 1)
		go func() {
			_, err := c.ReadPacket()
			read <- err
		}()
		synctest.Wait()
		require.NoError(t, c.RequestService("x"))
		require.NoError(t, <-read)
		c.Close()
	})
}

func TestServiceCanBeWaitedFor(t *testing.T) {
	c, _ := counted(t, func(p *sshtest.Peer) {
		p.Receive(5)
		p.Send([]byte{2, 0, 0, 0, 0}, []byte("\x06\x00\x00\x00\x01x"))
		p.Receive(50)
		p.Send([]byte{52})
		p.Drain()
	})
	require.NoError(t, c.AwaitService(), "none was requested")
	require.NoError(t, c.RequestService("x"))
	require.NoError(t, c.AwaitService())
	require.NoError(t, c.WritePacket([]byte{50}))
	packet, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{52}, packet)
	require.NoError(t, c.Close())
	require.ErrorIs(t, c.AwaitService(), net.ErrClosed)
}

func TestServiceThatIsNotAccepted(t *testing.T) {
	for name, answer := range map[string][]byte{
		"message of the service": {52},
		"other service":          []byte("\x06\x00\x00\x00\x01y"),
		"goodbye":                []byte("\x01\x00\x00\x00\x07\x00\x00\x00\x02no\x00\x00\x00\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := counted(t, func(p *sshtest.Peer) {
				p.Receive(5)
				p.Send(answer)
				p.Drain()
			})
			require.NoError(t, c.RequestService("x"))
			err := c.AwaitService()
			require.Error(t, err)
			requireEnded(t, c, err)
		})
	}
}

func TestServiceRequestIsSentBeforeAFarewell(t *testing.T) {
	last := make(chan byte, 2)
	c, _ := counted(t, func(p *sshtest.Peer) {
		last <- p.Receive(5)[0]
		last <- p.Receive(1)[0]
	})
	require.NoError(t, c.RequestService("x"))
	require.NoError(t, c.Close())
	require.Equal(t, byte(5), <-last)
	require.Equal(t, byte(1), <-last)
}

func TestPacketIsNotRetained(t *testing.T) {
	got := make(chan []byte, 1)
	c := connected(t, transport.Config{}, nil, func(p *sshtest.Peer) { got <- p.Receive(); p.Drain() })
	packet := []byte{80, 1, 2, 3}
	require.NoError(t, c.WritePacket(packet))
	require.Equal(t, []byte{80, 1, 2, 3}, packet, "nor changed")
	clear(packet)
	require.Equal(t, []byte{80, 1, 2, 3}, <-got)
}

// A connection that takes no more may still have something to say.
func TestFailedWriteLeavesReadingPossible(t *testing.T) {
	c, below := counted(t, func(p *sshtest.Peer) {
		p.Send([]byte{80, 1}, []byte{80, 2})
		p.Drain()
	})
	p, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{80, 1}, p)
	below.fail()
	for range 2 {
		err = c.WritePacket([]byte{90})
		require.ErrorIs(t, err, os.ErrPermission)
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorContains(t, err, "transport: ")
	}
	require.ErrorIs(t, c.Rekey(), os.ErrPermission)
	p, err = c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{80, 2}, p)
	require.ErrorIs(t, c.RequestService("x"), os.ErrPermission)
	require.NoError(t, c.Close())
}

// An exchange needs both directions.
func TestFailedWriteInAReexchangeEndsTheConnection(t *testing.T) {
	begin := make(chan bool)
	c, below := counted(t, func(p *sshtest.Peer) { <-begin; p.Exchange() })
	below.fail()
	close(begin)
	_, err := c.ReadPacket()
	require.ErrorIs(t, err, os.ErrPermission)
	require.EqualError(t, err, "transport: connection ended: permission denied")
	requireEnded(t, c, err)
}

func TestConcurrentWritersDoNotMix(t *testing.T) {
	const writers, each = 8, 200
	bad := make(chan string, 1)
	c := connected(t, transport.Config{}, nil, func(p *sshtest.Peer) {
		next := map[byte]uint32{}
		for range writers * each {
			b := p.Receive()
			if n := binary.BigEndian.Uint32(b[2:]); n != next[b[1]] || len(b) != int(6+n*7) {
				bad <- "out of order"
				return
			}
			next[b[1]]++
		}
		close(bad)
		p.Drain()
	})
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for n := range uint32(each) {
				packet := binary.BigEndian.AppendUint32([]byte{94, byte(w)}, n)
				if c.WritePacket(append(packet, make([]byte, n*7)...)) != nil {
					return
				}
			}
		})
	}
	group.Wait()
	require.Empty(t, <-bad)
}

// A writer that the end of the connection unblocks gets the cause of that end.
func TestBlockedWriterLearnsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan bool)
		c := connected(t, transport.Config{}, nil, func(p *sshtest.Peer) {
			<-leave
			p.Send([]byte{1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0})
			<-leave // to hang up now would fail the writer first
		})
		written := make(chan error, 1)
		go func() { written <- c.WritePacket(append([]byte{80}, make([]byte, 200000)...)) }()
		synctest.Wait()
		leave <- true
		_, err := c.ReadPacket()
		var disconnect *transport.DisconnectError
		require.ErrorAs(t, err, &disconnect)
		err = <-written
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, err, disconnect)
		leave <- true
	})
}

// deaf takes deadlines and does not keep them, like many wrappers of pipes.
type deaf struct {
	net.Conn
	stuck  atomic.Bool // nothing goes out any more
	closed chan struct{}
	once   sync.Once
}

func (*deaf) SetDeadline(time.Time) error      { return nil }
func (*deaf) SetWriteDeadline(time.Time) error { return nil }

func (d *deaf) Write(p []byte) (int, error) {
	if d.stuck.Load() {
		<-d.closed
		return 0, net.ErrClosed
	}
	return d.Conn.Write(p)
}

func (d *deaf) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.Conn.Close()
}

func TestCloseDoesNotRelyOnDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := &deaf{Conn: dial(t, scripted(t, honest)), closed: make(chan struct{})}
		c := transport.Client(below, &transport.Config{HostKey: transport.FixedHostKey(hostKey().PublicKey())})
		require.NoError(t, c.Handshake(t.Context()))
		below.stuck.Store(true)
		begin := time.Now()
		require.NoError(t, c.Close())
		require.LessOrEqual(t, time.Since(begin), 100*time.Millisecond) // of the bubble
	})
}

// Nobody can get the answers any more, and the reader must not wait for that.
func TestAnswersThatCannotBeWrittenDoNotStopTheReader(t *testing.T) {
	c, below := counted(t, func(p *sshtest.Peer) {
		p.Send([]byte{52}, []byte{80, 1})
		for range 6 {
			p.Send(ssh.Marshal(struct {
				Data []byte `sshtype:"192"`
			}{make([]byte, 30000)}))
		}
		p.Send([]byte{80, 2})
		p.Drain()
	})
	for _, want := range [][]byte{{52}, {80, 1}} {
		p, err := c.ReadPacket()
		require.NoError(t, err)
		require.Equal(t, want, p)
	}
	below.fail()
	require.ErrorIs(t, c.WritePacket([]byte{90}), os.ErrPermission)
	p, err := c.ReadPacket()
	require.NoError(t, err)
	require.Equal(t, []byte{80, 2}, p)
}

func TestWaitForVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, wait := range []bool{false, true} {
			near, far := sshtest.Pipe()
			below := &counter{Conn: near}
			c := transport.Client(below, &transport.Config{
				HostKey:        transport.FixedHostKey(hostKey().PublicKey()),
				WaitForVersion: wait,
			})
			done := make(chan error, 1)
			go func() { done <- c.Handshake(t.Context()) }()
			synctest.Wait()
			require.Equal(t, !wait, below.count() == 1, "nobody has heard of the server yet")
			go scripted(t, honest).ServeConn(far)
			require.NoError(t, <-done)
			require.NoError(t, c.Close())
		}
	})
}
