package connection_test

import (
	"bytes"
	"io"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/connection"
)

// A waiting read, the data behind the read's buffer and the next reads make up the whole
// stream, and all data gives window back.
func TestReadsThatWaitLoseNothing(t *testing.T) {
	for _, size := range []int{1, 3, 7, 50, 1000} {
		synctest.Test(t, func(t *testing.T) {
			c, p := start(t, &connection.Config{Window: 80})
			ch, id := p.open(c, nil)
			var got []byte
			done := call(func() error {
				buf := make([]byte, size)
				for {
					n, err := ch.Read(buf)
					got = append(got, buf[:n]...)
					if err != nil {
						return err
					}
				}
			})
			var want []byte
			outstanding := 80
			for i := range 200 {
				if i%3 == 0 {
					synctest.Wait()
				}
				for p.in.length() > 0 {
					outstanding += int(expect[adjustMsg](p).Bytes)
				}
				data := bytes.Repeat([]byte{byte(i)}, min(i%11, outstanding))
				p.send(&dataMsg{id, data})
				want = append(want, data...)
				outstanding -= len(data)
			}
			p.send(&eofMsg{id})
			require.Equal(t, io.EOF, <-done)
			require.Equal(t, want, got)
		})
	}
}

// Several waiting reads get all data, each byte once.
func TestSeveralReadsThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		reads := make(chan string, 10)
		for range 3 {
			go func() {
				buf := make([]byte, 2)
				n, _ := ch.Read(buf)
				reads <- string(buf[:n])
			}()
		}
		synctest.Wait()
		p.send(&dataMsg{id, []byte("aabbcc")})
		synctest.Wait()
		require.ElementsMatch(t, []string{"aa", "bb", "cc"}, []string{<-reads, <-reads, <-reads})
	})
}

func TestReadThatWaitsIsNotPassedByNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, nil)
		ch, id := p.open(c, nil)
		read := func() <-chan error {
			return call(func() error {
				_, err := ch.Read(make([]byte, 10))
				return err
			})
		}
		first := read()
		synctest.Wait()
		second := read()
		synctest.Wait()
		p.send(&dataMsg{id, []byte("a")})
		require.NoError(t, <-first)
		var later []<-chan error
		for range 3 {
			later = append(later, read())
			synctest.Wait()
			p.send(&dataMsg{id, []byte("b")})
			synctest.Wait()
		}
		require.NoError(t, <-second)
		require.NoError(t, ch.Close())
		for _, done := range later {
			<-done
		}
	})
}

// C1: a window of small packets costs no more memory than the window.
func TestSmallPacketsDoNotCostMoreThanTheWindow(t *testing.T) {
	const window = 1 << 20
	c, p := start(t, &connection.Config{Window: window})
	_, id := p.open(c, nil)
	p.out.setLimit(100)
	memory := func() uint64 {
		runtime.GC()
		runtime.GC() // the second run empties the pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := memory()
	packet := marshal(&dataMsg{id, []byte("x")})
	for range window {
		p.send(packet)
	}
	p.send(&globalRequestMsg{"x", true, nil})
	expect[requestFailureMsg](p) // so the data before has been taken
	require.Less(t, memory(), before+window*3/2)
}
