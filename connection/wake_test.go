package connection_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// bursts is a transport that tells of a wait only when there is nothing left,
// and then only as often as it is let.
type bursts struct {
	*end
	tell chan struct{}
}

func (b bursts) ReadPacketNotify(waiting func()) ([]byte, error) {
	if b.in.length() == 0 {
		<-b.tell
		waiting()
	}
	return b.end.ReadPacket()
}

func TestReadersAreWokenBeforeTheTransportWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := pipe()
		p := &peer{t: t, end: theirs, ours: ours}
		b := bursts{ours, make(chan struct{}, 100)}
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
		b := bursts{ours, make(chan struct{})}
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
