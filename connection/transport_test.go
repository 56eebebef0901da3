package connection_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// bursts is a transport that tells of a wait only when nothing is left to read, and only as
// often as the test allows.
type bursts struct {
	*end
	tell    chan struct{}
	waiting func()
}

func (b *bursts) NotifyWait(waiting func()) { b.waiting = waiting }

func (b *bursts) ReadPacket() ([]byte, error) {
	if b.in.length() == 0 {
		<-b.tell
		b.waiting()
	}
	return b.end.ReadPacket()
}

func TestReadersAreWokenBeforeTheTransportWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := pipe()
		p := &peer{t: t, end: theirs, ours: ours}
		b := &bursts{end: ours, tell: make(chan struct{}, 100)}
		for range 10 {
			b.tell <- struct{}{}
		}
		c := connection.New(b, nil)
		ch, id := p.open(c, nil)
		synctest.Wait()
		for len(b.tell) > 0 {
			<-b.tell
		}
		into := make([]byte, 10)
		n := 0
		read := call(func() (err error) {
			n, err = ch.Read(into)
			return err
		})
		synctest.Wait()
		p.send(&dataMsg{id, []byte("ab")}, &dataMsg{id, []byte("cd")})
		synctest.Wait()
		require.Empty(t, read, "nobody is woken while there is more to deal with")
		b.tell <- struct{}{}
		require.NoError(t, <-read)
		require.Equal(t, "abcd", string(into[:n]), "and both packets went into one read")
		close(b.tell)
		require.NoError(t, c.Close())
	})
}

// The end of the connection wakes everybody, too.
func TestReadersAreWokenAtTheEndOfABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := pipe()
		p := &peer{t: t, end: theirs, ours: ours}
		b := &bursts{end: ours, tell: make(chan struct{})}
		close(b.tell)
		c := connection.New(b, nil)
		ch, id := p.open(c, nil)
		read := call(func() error {
			_, err := ch.Read(make([]byte, 1))
			return err
		})
		synctest.Wait()
		p.send(&dataMsg{id, []byte("a")}, &dataMsg{id + 7, nil})
		require.NoError(t, <-read)
		require.Error(t, c.Wait())
	})
}

// earlyTransport is a transport that another layer still reads.
type earlyTransport struct {
	connection.Transport
	readable chan struct{}
}

func (l earlyTransport) Readable() <-chan struct{} { return l.readable }

func TestTransportIsNotReadBeforeItIsReadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := pipe()
		p := &peer{t: t, end: theirs, ours: ours}
		l := earlyTransport{ours, make(chan struct{})}
		c := connection.New(l, &connection.Config{KeepAliveInterval: time.Minute, KeepAliveCount: 1})
		pending, err := c.SendRequest(t.Context(), "early", true, nil)
		require.NoError(t, err)
		require.Equal(t, "early", expect[globalRequestMsg](p).Name)
		p.send(requestSuccessMsg{})

		time.Sleep(24 * time.Hour)
		require.Equal(t, 1, ours.in.length())
		require.Zero(t, theirs.in.length(), "nobody is asked for a sign of life yet")

		close(l.readable)
		_, err = pending.Wait(t.Context())
		require.NoError(t, err)
		var silent *connection.KeepAliveError
		require.ErrorAs(t, c.Wait(), &silent)
	})
}

func TestCloseBeforeTheTransportIsReadable(t *testing.T) {
	ours, _ := pipe()
	c := connection.New(earlyTransport{ours, nil}, nil)
	require.NoError(t, c.Close())
	require.NoError(t, c.Wait())
}

// counting is a decorator that overrides the two methods of packets alone.
type counting struct {
	*directEnd
	read, written map[byte]int // packets by message number
}

func (c *counting) ReadPacket() ([]byte, error) {
	packet, err := c.directEnd.ReadPacket()
	if err == nil {
		c.read[packet[0]]++
	}
	return packet, err
}

func (c *counting) WritePacket(packet []byte) error {
	c.written[packet[0]]++
	return c.directEnd.WritePacket(packet)
}

// A decorator sees every packet, those of batches and direct writes included, and
// the transport's optional methods still work.
func TestDecoratorSeesEveryPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := pipe()
		d := &counting{&directEnd{end: ours}, make(map[byte]int), make(map[byte]int)}
		c, p := connection.New(d, nil), &peer{t: t, end: theirs, ours: ours}
		exchange(t, c, p)
		require.Equal(t, []int{4}, d.direct)
		require.NotEmpty(t, d.batches)
		require.Equal(t, map[byte]int{80: 1, 90: 1, 94: 4, 96: 1, 97: 1}, d.written)
		require.Equal(t, map[byte]int{91: 1, 94: 1, 97: 1}, d.read)
	})
}

// A decorator that hides the optional methods gets the same packets, without them.
func TestDecoratorWithThreeMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := pipe()
		d := &directEnd{end: ours}
		c, p := connection.New(struct{ connection.Transport }{d}, nil), &peer{t: t, end: theirs, ours: ours}
		exchange(t, c, p)
		require.Empty(t, d.direct)
		require.Empty(t, d.batches)
	})
}

// exchange opens a channel, moves large data to the peer and little data from the
// peer, and closes all.
func exchange(t *testing.T, c *connection.Conn, p *peer) {
	t.Helper()
	ch, id := p.open(c, nil)
	_, err := c.SendRequest(t.Context(), "x", false, nil)
	require.NoError(t, err)
	require.Equal(t, "x", expect[globalRequestMsg](p).Name)
	synctest.Wait()
	data := pattern(100_000)
	_, err = ch.Write(data)
	require.NoError(t, err)
	require.Equal(t, data, received(p, len(data), peerMaxPacket))
	require.NoError(t, ch.CloseWrite())
	expect[eofMsg](p)
	p.send(&dataMsg{id, []byte("answer")}, &closeMsg{id})
	answer, err := io.ReadAll(ch)
	require.NoError(t, err)
	require.Equal(t, "answer", string(answer))
	expect[closeMsg](p)
	require.NoError(t, c.Close())
}
