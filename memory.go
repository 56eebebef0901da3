package nacre

import (
	"container/list"
	"runtime"
	"slices"
	"sync"
	"weak"
)

// Memory remembers servers from one connection to the next, in the manner of a
// tls.ClientSessionCache, so that the next one takes fewer round trips. Its
// methods may be called concurrently.
//
// What is remembered only orders and anticipates what the [Config] allows in
// any case: it never makes a connection weaker. A memory that is wrong, be it
// that the server was changed, costs a second connection or a round trip. One
// memory should not serve configs to which one address means several servers.
type Memory interface {
	// Get returns what was last put under a name, and whether anything was.
	Get(name string) (state *ServerState, ok bool)

	// Put remembers a state, which must not be changed any more. It is called
	// when somebody has logged in to a server that was verified. The name is
	// "user@host:port".
	Put(name string, state *ServerState)
}

// ServerState is what is remembered of a server after a login to it. There is
// no secret in it, and it can be stored as JSON.
type ServerState struct {
	// KeyExchanges are the methods that the server has offered.
	KeyExchanges []string

	// Key is the [userauth.KeyName] of the key that the server has accepted,
	// empty if there was none.
	Key string

	// KeyOnly tells that it wanted nothing else.
	KeyOnly bool

	// Cautious tells that a connection was lost when something was sent before
	// its turn, and that one without was not; or that a command was dropped.
	Cautious bool
}

// NoMemory remembers nothing.
type NoMemory struct{}

// Get finds nothing.
func (NoMemory) Get(string) (*ServerState, bool) { return nil, false }

// Put does nothing.
func (NoMemory) Put(string, *ServerState) {}

// defaultServers is how many servers NewMemory remembers by default.
const defaultServers = 4096

// NewMemory returns a memory that forgets what was not used for longest, so
// that it never has more than that many servers: 0 or less is 4096. An entry
// takes about half a kilobyte.
func NewMemory(servers int) Memory {
	if servers <= 0 {
		servers = defaultServers
	}
	return &lru{most: servers, entries: make(map[string]*list.Element)}
}

type lru struct {
	most int

	mu      sync.Mutex
	entries map[string]*list.Element
	order   list.List // of *memoryEntry, the one used last in front
}

type memoryEntry struct {
	name  string
	state *ServerState
}

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

// memories has the memory of each Config that names none, under its weak
// pointer: a field could not be filled in without writing to a Config that
// other goroutines read or copy. An entry goes with its Config.
var memories sync.Map // weak.Pointer[Config] to Memory

// memory returns the memory that connections of this config share.
func (c *Config) memory() Memory {
	if c.Memory != nil {
		return c.Memory
	}
	key := weak.Make(c)
	if m, ok := memories.Load(key); ok {
		return m.(Memory)
	}
	m, loaded := memories.LoadOrStore(key, NewMemory(0))
	if !loaded {
		runtime.AddCleanup(c, func(key weak.Pointer[Config]) { memories.Delete(key) }, key)
	}
	return m.(Memory)
}

// equal tells whether both say the same, so that nothing has to be put.
func (s *ServerState) equal(t *ServerState) bool {
	return s != nil && s.Key == t.Key && s.KeyOnly == t.KeyOnly && s.Cautious == t.Cautious &&
		slices.Equal(s.KeyExchanges, t.KeyExchanges)
}
