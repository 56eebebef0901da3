package nacre

import (
	"container/list"
	"slices"
	"sync"

	"github.com/nacre-ssh/nacre/internal/early"
)

// Memory remembers servers from one connection to the next, in the manner of a
// tls.ClientSessionCache, so that the next connection takes fewer round trips.
// The methods may be called concurrently.
//
// A memory only orders, and sends early, choices within the [Config], and never
// makes a connection weaker. A wrong memory, because the server was changed, or
// because several servers share an address, costs a second connection or a round
// trip; after that the memory is trusted again only when more logins have gone well.
type Memory interface {
	// Get returns the latest state under a name, if there is any.
	Get(name string) (state *ServerState, ok bool)

	// Put remembers a state, which must not be changed any more. Put is called
	// when somebody has logged in to a server that was verified. The name is
	// "user@host:port".
	Put(name string, state *ServerState)
}

// ServerState is the memory of a server after a login. A ServerState has
// no secret, and can be stored as JSON.
type ServerState struct {
	// KeyExchanges are the methods offered by the server.
	KeyExchanges []string

	// Key is the [userauth.KeyName] of the accepted key, empty without any.
	Key string

	// KeyOnly reports whether the key alone was enough.
	KeyOnly bool

	// DisableEarly: the server dropped an early command, and would drop the next.
	DisableEarly bool

	// WrongGuesses counts the connections that were lost because KeyExchanges was
	// wrong, and Losses those that were lost because of other early messages, since
	// each was last right. Logins counts the logins since the latest of these
	// failures. An early attempt follows when there were enough of them: 4 after the
	// first failure, and twice as many after each further failure.
	WrongGuesses, Losses, Logins int
}

// maxDoublings bounds the number of logins without an early attempt.
const maxDoublings = 12

// trusted reports whether there were enough logins after so many failures.
func (s *ServerState) trusted(failures int) bool {
	return failures <= 0 || s.Logins >= 2<<min(failures, maxDoublings)
}

// count takes over the failures of an earlier state, after another login. failed is
// the verdict on the attempt before, if there was one. guessed and sent tell
// whether the first message of the key exchange, and any message, was early.
func (s *ServerState) count(earlier *ServerState, failed early.Verdict, guessed, sent bool) {
	if earlier != nil {
		s.DisableEarly = earlier.DisableEarly
		s.WrongGuesses, s.Losses, s.Logins = max(earlier.WrongGuesses, 0), max(earlier.Losses, 0), earlier.Logins
	}
	s.Logins = max(0, min(s.Logins+1, 2<<maxDoublings))
	switch failed {
	case early.RetryWithoutGuess:
		s.WrongGuesses, s.Logins = min(s.WrongGuesses+1, maxDoublings), 0
	case early.RetryAndRemember:
		s.Losses, s.Logins = min(s.Losses+1, maxDoublings), 0
	}
	if guessed {
		s.WrongGuesses = 0
	}
	if sent {
		s.Losses = 0
	}
	if s.WrongGuesses == 0 && s.Losses == 0 {
		s.Logins = 0
	}
}

// DefaultMemory is the memory of every Config without a Memory. DefaultMemory lives
// in the process, for 4096 servers.
var DefaultMemory = NewMemory(0)

// NoMemory remembers nothing.
type NoMemory struct{}

// Get finds nothing.
func (NoMemory) Get(string) (*ServerState, bool) { return nil, false }

// Put does nothing.
func (NoMemory) Put(string, *ServerState) {}

// defaultServers is how many servers NewMemory remembers by default.
const defaultServers = 4096

// NewMemory returns a memory for that many servers, 0 or less is 4096, which
// forgets the server whose last use is the oldest. An entry takes about half a
// kilobyte.
func NewMemory(servers int) Memory {
	if servers <= 0 {
		servers = defaultServers
	}
	return &lru{most: servers, entries: make(map[string]*list.Element)}
}

// lru is a bounded Memory.
type lru struct {
	most int

	mu      sync.Mutex
	entries map[string]*list.Element
	order   list.List // of *memoryEntry, the latest used in front
}

type memoryEntry struct {
	name  string
	state *ServerState
}

// Get finds the state of a server, and marks it as used.
func (l *lru) Get(name string) (*ServerState, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.entries[name]
	if !ok {
		return nil, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*memoryEntry).state, true
}

// Put remembers a state in place of an older state, or of the server whose last
// use is the oldest.
func (l *lru) Put(name string, state *ServerState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.entries[name]; ok {
		e.Value.(*memoryEntry).state = state
		l.order.MoveToFront(e)
		return
	}
	if l.order.Len() == l.most {
		oldest := l.order.Remove(l.order.Back()).(*memoryEntry)
		delete(l.entries, oldest.name)
	}
	l.entries[name] = l.order.PushFront(&memoryEntry{name, state})
}

// equal reports whether both states say the same, so that nothing has to be put.
func (s *ServerState) equal(t *ServerState) bool {
	return s != nil && s.Key == t.Key && s.KeyOnly == t.KeyOnly && s.DisableEarly == t.DisableEarly &&
		s.WrongGuesses == t.WrongGuesses && s.Losses == t.Losses && s.Logins == t.Logins && slices.Equal(s.KeyExchanges, t.KeyExchanges)
}
