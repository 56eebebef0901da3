package userauth

import "fmt"

// Early has packets that leave early: messages for the service that starts after
// authentication, in the same flight as a request that the server may grant. A
// server that grants the request reads the packets next, and a round trip is
// saved. Use Early with servers that are known to bear early packets: behind a
// refused request, OpenSSH answers each packet with UNIMPLEMENTED and goes on,
// and dropbear ends the connection.
//
// An Early serves one call of [Authenticate] and belongs to the call until then.
type Early struct {
	// Packets, unless nil, is called whenever a request with a whole proof is
	// about to leave, see [Exchange.Prove]. The packets leave right behind the
	// request: any number of messages from 80 to 127. A second call means that
	// the packets of the first had no effect.
	//
	// The first request after early packets were in vain goes alone: only its
	// answer shows that the server goes on, and that the outcome of more packets
	// would not be uncertain.
	Packets func() [][]byte

	// Outcome is set by Authenticate, whatever Authenticate returns.
	Outcome EarlyOutcome
}

// EarlyOutcome is the effect of the packets of an [Early].
type EarlyOutcome int

const (
	// EarlyNoEffect: no packets left, or no request in front of early packets was
	// a success. The server has certainly not obeyed the packets.
	EarlyNoEffect EarlyOutcome = iota

	// EarlyUncertain: the answer to a request with packets behind it never came.
	// The server may have granted the request and obeyed the packets.
	EarlyUncertain

	// EarlyBrokeOff: the packets had no effect, and the conversation broke off
	// before the server answered anything else, perhaps because of the packets.
	EarlyBrokeOff

	// EarlyGranted: the server granted the request in front of the packets. The
	// server obeys the packets if the connection lasts, also when Authenticate
	// returns an error because its context ended meanwhile.
	EarlyGranted
)

// String returns a word or two for messages.
func (o EarlyOutcome) String() string {
	switch o {
	case EarlyNoEffect:
		return "no effect"
	case EarlyUncertain:
		return "uncertain"
	case EarlyBrokeOff:
		return "broke off"
	case EarlyGranted:
		return "granted"
	}
	return fmt.Sprintf("early outcome %d", int(o))
}

// earlyPackets returns the packets to leave behind the next request.
func (l *login) earlyPackets() ([][]byte, error) {
	e := l.config.Early
	if e == nil || e.Packets == nil || l.earlyInVain || l.factors()+1 < l.config.RequireFactors {
		return nil, nil
	}
	packets := e.Packets()
	for _, p := range packets {
		if len(p) == 0 || p[0] < msgServiceFirst || p[0] > msgServiceLast {
			return nil, l.fail(fmt.Errorf("userauth: early packets may be messages %d to %d only", msgServiceFirst, msgServiceLast))
		}
	}
	return packets, nil
}

// proveEarly sends a request with early packets behind it. The outcome is
// uncertain until the answer has come.
func (l *login) proveEarly(request []byte, early [][]byte) (Reply, error) {
	e := l.config.Early
	e.Outcome = EarlyUncertain
	reply, err := oneReply(l.flight(1, append([][]byte{request}, early...)...))
	if err != nil {
		return reply, err
	}
	e.Outcome, l.earlyInVain = EarlyNoEffect, true
	if reply.Status == Success {
		e.Outcome = EarlyGranted
	}
	return reply, nil
}
