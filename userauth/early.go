package userauth

import "fmt"

// Early is what leaves before its turn: packets for the service that starts
// after authentication, in the same flight as a request that the server may
// grant. One that does reads them next, and a round trip is saved.
//
// Use it with servers that are known to bear it. Behind a request that is
// refused, OpenSSH answers each packet with UNIMPLEMENTED and goes on; dropbear
// ends the connection when it has sent the refusal.
//
// An Early serves one call of [Authenticate] and belongs to it until it returns.
type Early struct {
	// Packets, unless nil, is called whenever a request is about to leave that
	// carries a whole proof, see [Exchange.Prove]. The messages that it returns,
	// 80 to 127 and any number of them, leave right behind. When it is called
	// again, what it returned before had no effect.
	//
	// After a request that was not granted, the next one goes alone: only its
	// answer shows that the server has borne what was early, and packets
	// sent to a server that is about to end the connection would leave a doubt.
	Packets func() [][]byte

	// Fate is set by Authenticate, whatever it returns.
	Fate Fate
}

// Fate is what became of the packets of an [Early].
type Fate int

const (
	// Void: none left, or the server's answers to the requests in front of
	// them were others than success, so that they had no effect for certain.
	Void Fate = iota

	// Doubtful: the answer to a request with packets behind it never came.
	// The server may have granted it and obeyed them.
	Doubtful

	// Fatal: Void, and the conversation broke off before the server answered
	// anything else. It may be one that ends a connection for them.
	Fatal

	// Granted: they stood behind the request that the server granted. It
	// obeys them if the connection lasts, also when Authenticate has returned
	// an error because its context ended at the same time.
	Granted
)

// String returns a word for messages.
func (f Fate) String() string {
	switch f {
	case Void:
		return "void"
	case Doubtful:
		return "doubtful"
	case Fatal:
		return "fatal"
	case Granted:
		return "granted"
	}
	return fmt.Sprintf("fate %d", int(f))
}

// earlyPackets returns what leaves behind the next request.
func (l *login) earlyPackets() ([][]byte, error) {
	e := l.config.Early
	if e == nil || e.Packets == nil || l.wary || l.factors()+1 < l.config.RequireFactors {
		return nil, nil
	}
	packets := e.Packets()
	for _, p := range packets {
		if len(p) == 0 || p[0] < msgServiceFirst || p[0] > msgServiceLast {
			return nil, l.fail(fmt.Errorf("early packets may be messages %d to %d only", msgServiceFirst, msgServiceLast))
		}
	}
	return packets, nil
}

// proveEarly sends a request with early packets behind it, which are in doubt
// until the answer has come.
func (l *login) proveEarly(request []byte, early [][]byte) (Reply, error) {
	e := l.config.Early
	e.Fate = Doubtful
	reply, err := only(l.flight(1, append([][]byte{request}, early...)...))
	if err != nil {
		return reply, err
	}
	e.Fate, l.wary = Void, true
	if reply.Status == Success {
		e.Fate = Granted
	}
	return reply, nil
}
