package early

import "github.com/nacre-ssh/nacre/userauth"

// Facts are the whole ground of a verdict: the failure of an attempt, and the
// messages sent early by then.
type Facts struct {
	// Disabled: nothing left early, so a second attempt would be the same.
	Disabled bool

	// ContextEnded: the caller has given up. TimedOut: a deadline passed.
	ContextEnded, TimedOut bool

	// Refused: the host key was refused, or the server has exceeded its budget. The
	// order of messages is not to blame.
	Refused bool

	// Handshake: the attempt failed in RFC 4253's part. Login: in RFC 4252's, by
	// a *userauth.Error. With neither, the connection could not be dialled or
	// failed behind the login.
	Handshake, Login bool

	// Guessed: the first message of a key exchange left early. Met: the server
	// had sent its version. WrongGuess: the server chose another key exchange.
	Guessed, Met, WrongGuess bool

	// Disconnected: the server's last message was SSH_MSG_DISCONNECT.
	Disconnected bool

	// KeyCutOff: the server ended the connection for too many refusals. The first
	// refusal was of a key, before the server had said whether keys are welcome,
	// and another method would have had a chance.
	KeyCutOff bool

	// BrokeOffInFlight: the server ended the connection in a flight of questions
	// about keys, after accepting a key.
	BrokeOffInFlight bool

	// Outcome is the outcome of channel messages behind a request that
	// authenticates the user. CommandSent: the request exec was among these
	// messages. BearsRefusal is the server's Server.Refusal.
	Outcome      userauth.EarlyOutcome
	CommandSent  bool
	BearsRefusal bool
}

// Verdict is the consequence of a failed attempt.
type Verdict int

// The verdicts.
const (
	// Final means that the caller gets the error: no second attempt would get
	// further.
	Final Verdict = iota

	// Uncertain means that the caller gets the error, marked as uncertain: the
	// command may have started, so there is no second attempt.
	Uncertain

	// Retry means a second attempt, with every message in its turn.
	Retry

	// RetryWithoutGuess means a second attempt, and a note in the memory that the
	// server's key exchanges were not those on record.
	RetryWithoutGuess

	// RetryAsking means a second attempt, beginning with the method "none": the
	// server then names its methods before a key can be refused.
	RetryAsking

	// RetryAndRemember means a second attempt, and a note in the memory that early
	// messages were lost with their connection.
	RetryAndRemember
)

// Retries reports whether the verdict is a second attempt.
func (v Verdict) Retries() bool { return v >= Retry }

// Judge returns the verdict on a failed attempt.
func Judge(f Facts) Verdict {
	switch {
	case f.CommandSent && f.Outcome == userauth.EarlyGranted:
		return Uncertain
	case f.CommandSent && f.Outcome == userauth.EarlyUncertain && !f.Disconnected:
		// A server that says goodbye instead of an answer has not run anything.
		return Uncertain
	case f.Disabled || f.ContextEnded || f.TimedOut || f.Refused:
		return Final
	case f.Handshake:
		return judgeHandshake(f)
	case f.Login:
		return judgeLogin(f)
	}
	return Final
}

// judgeHandshake looks for the early message of the key exchange. A server that
// never sent its version did not fail because of the message.
func judgeHandshake(f Facts) Verdict {
	switch {
	case !f.Guessed || !f.Met:
		return Final
	case f.WrongGuess: // the server has changed, and the next login remembers how
		return RetryWithoutGuess
	}
	return RetryAndRemember
}

func judgeLogin(f Facts) Verdict {
	switch {
	case f.Outcome == userauth.EarlyBrokeOff && !f.BearsRefusal && !f.Disconnected:
		return RetryAndRemember
	case f.KeyCutOff:
		return RetryAsking
	case f.BrokeOffInFlight:
		return Retry
	}
	return Final
}
