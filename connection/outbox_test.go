package connection_test

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// A closed channel ends the waits of its calls for room in the outbox, though there is no room.
func TestCloseOfTheChannelEndsTheWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		other, _ := p.open(c, nil)
		p.fill(c)
		request := func(ch *connection.Channel) <-chan error {
			return call(func() error { return ch.Request(t.Context(), "x", nil) })
		}
		closed, kept := request(ch), request(other)
		synctest.Wait()
		require.NoError(t, ch.Close())
		require.ErrorIs(t, <-closed, net.ErrClosed)
		synctest.Wait()
		require.Empty(t, kept)

		third := request(ch)
		require.ErrorIs(t, <-third, net.ErrClosed)
		p.send(&closeMsg{id})
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-kept, net.ErrClosed)
	})
}

func TestCloseWritesWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, _ := p.open(c, nil)
		_, err := ch.Write(make([]byte, 200<<10))
		require.NoError(t, err)
		require.NoError(t, ch.Close())
		require.NoError(t, c.Close())
		total := 0
		for total < 200<<10 {
			total += len(expect[dataMsg](p).Data)
		}
		expect[closeMsg](p)
		_, err = p.ReadPacket()
		require.ErrorIs(t, err, io.EOF)
	})
}

// batchTransport is a transport whose batches wait for begin.
type batchTransport struct {
	directEnd
	begin chan struct{}
}

func (b *batchTransport) Batch(write func() error) error {
	<-b.begin
	return b.directEnd.Batch(write)
}

func TestSeveralPacketsAreWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := pipe()
		transport := &batchTransport{directEnd: directEnd{end: ours}, begin: make(chan struct{})}
		c := connection.New(transport, nil)
		p := &peer{t: t, end: theirs, ours: ours}
		for i := range 10 {
			_, err := c.SendRequest(t.Context(), string('a'+rune(i)), false, nil)
			require.NoError(t, err)
			synctest.Wait()
		}
		close(transport.begin)
		for i := range 10 {
			require.Equal(t, string('a'+rune(i)), expect[globalRequestMsg](p).Name)
		}
		require.NoError(t, c.Close())
		<-c.Done()
		require.Equal(t, []int{1, 9}, transport.batches)
	})
}

func TestFlushWaitsForTheTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		require.NoError(t, c.Flush(t.Context()))
		p.in.setLimit(-1) // the peer takes nothing
		for range 3 {
			_, err := c.SendRequest(t.Context(), "x", false, nil)
			require.NoError(t, err)
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, c.Flush(ctx), context.DeadlineExceeded)
		done := call(func() error { return c.Flush(context.Background()) })
		synctest.Wait()
		require.Empty(t, done)
		p.in.setLimit(1 << 20)
		require.NoError(t, <-done)
		require.Equal(t, 3, p.in.length())
	})
}

// Flush does not wait for packets that are queued after its call.
func TestFlushEndsWhileOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, _ := p.openWith(c, nil, 1<<32-1, 1<<20)
		p.in.setLimit(1)
		go func() { _, _ = io.Copy(ch, neverEnding{}) }()
		synctest.Wait()
		done := call(func() error { return c.Flush(context.Background()) })
		for range 1000 {
			synctest.Wait()
			if len(done) > 0 {
				break
			}
			_, err := p.ReadPacket()
			require.NoError(t, err)
		}
		require.NoError(t, <-done)
	})
}

func TestFlushFailsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		p.in.setLimit(-1)
		_, err := c.SendRequest(t.Context(), "x", false, nil)
		require.NoError(t, err)
		done := call(func() error { return c.Flush(context.Background()) })
		synctest.Wait()
		p.in.fail(nil, os.ErrPermission)
		require.ErrorIs(t, <-done, os.ErrPermission)
		require.ErrorIs(t, c.Flush(t.Context()), net.ErrClosed)
		require.NoError(t, c.Close())
		require.ErrorIs(t, c.Flush(t.Context()), net.ErrClosed)
	})
}

// Memory stays bounded while a peer takes nothing, however much there is to
// write: a write returns when its data is queued, and the queue has an end.
func TestWritersToAPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		total, done := make(chan int, 100), make(chan error, 100)
		var channels []*connection.Channel
		for range 100 {
			ch, _ := p.openWith(c, nil, 1<<30, 32<<10)
			channels = append(channels, ch)
		}
		p.in.setLimit(-1)
		for _, ch := range channels {
			go func() {
				n, err := ch.Write(make([]byte, 1<<20))
				total <- n
				done <- err
			}()
		}
		synctest.Wait()
		require.Empty(t, done)
		require.NoError(t, c.Close())
		sum := 0
		for range channels {
			sum += <-total
			require.ErrorIs(t, <-done, net.ErrClosed)
		}
		require.Less(t, sum, 1<<20)
	})
}
