package nacre_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre"
	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/sshtest/wire"
)

func TestMemoryForgetsWhatWasNotUsedForLongest(t *testing.T) {
	m := nacre.NewMemory(2)
	a, b, c := &nacre.ServerState{Key: "a"}, &nacre.ServerState{Key: "b"}, &nacre.ServerState{Key: "c"}
	m.Put("a", a)
	m.Put("b", b)
	_, ok := m.Get("a")
	require.True(t, ok)
	m.Put("c", c)

	_, ok = m.Get("b")
	require.False(t, ok)
	for name, want := range map[string]*nacre.ServerState{"a": a, "c": c} {
		got, ok := m.Get(name)
		require.True(t, ok)
		require.Same(t, want, got)
	}

	m.Put("a", b)
	got, _ := m.Get("a")
	require.Same(t, b, got)
}

func TestMemoryHasABound(t *testing.T) {
	m := nacre.NewMemory(0)
	for i := range 5000 {
		m.Put(fmt.Sprint(i), &nacre.ServerState{})
	}
	_, ok := m.Get("903")
	require.False(t, ok)
	_, ok = m.Get("904")
	require.True(t, ok)
}

func TestMemoryIsForConcurrentUse(t *testing.T) {
	m := nacre.NewMemory(4)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				name := fmt.Sprint((i + j) % 6)
				m.Put(name, &nacre.ServerState{Key: name})
				if s, ok := m.Get(name); ok && s.Key != name {
					t.Errorf("%s under the name %s", s.Key, name)
				}
			}
		})
	}
	wg.Wait()
}

func TestNoMemory(t *testing.T) {
	m := nacre.NoMemory{}
	m.Put("a", &nacre.ServerState{})
	_, ok := m.Get("a")
	require.False(t, ok)
}

// A Config without a Memory shares the default with all others, its copies included.
func TestCopiesOfAConfigShareTheirMemory(t *testing.T) {
	s := sshtest.OpenSSH(t, nil)
	base := config(s)
	base.Memory = nil
	requireTrips(t, []int{3, 2, 2}, func(rtt time.Duration) (trips []int) {
		nacre.DefaultMemory.Put(s.Target, new(nacre.ServerState)) // the same as for a new server
		for range 3 {
			c := *base
			roundTrips, _ := counting(&c, rtt)
			trips = append(trips, oneShot(t, s, &c, roundTrips))
		}
		return trips
	})
}

func TestServerStateIsStoredAsJSON(t *testing.T) {
	state := nacre.ServerState{KeyExchanges: []string{"curve25519-sha256"}, Key: "ssh-ed25519 SHA256:x"}
	stored, err := json.Marshal(state)
	require.NoError(t, err)
	var loaded nacre.ServerState
	require.NoError(t, json.Unmarshal(stored, &loaded))
	require.Equal(t, state, loaded)
}

// The memory of a server is bounded, and has no text of the server's own, whatever
// the server sends.
func TestServerCannotFillTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := scripted(t, func(p *wire.Peer) {
			p.Version = "SSH-2.0-" + strings.Repeat("x", 200)
			p.KexInit = func(m *wire.KexInitMsg) {
				for i := range 200 {
					m.Kex = append(m.Kex, strings.Repeat("x", i+1)+"@example.com")
				}
			}
			p.Login()
			p.Drain()
		})
		c.Memory = nacre.NewMemory(0)
		client, err := nacre.Dial(t.Context(), s.Target, c)
		require.NoError(t, err)
		require.NoError(t, client.Close())
		state, ok := c.Memory.Get(s.Target)
		require.True(t, ok)
		text, err := json.Marshal(state)
		require.NoError(t, err)
		require.Less(t, len(text), 512)
		require.NotContains(t, string(text), "xxxx")
	})
}
