package early_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/early"
	"github.com/nacre-ssh/nacre/userauth"
)

func TestVerdicts(t *testing.T) {
	for name, test := range map[string]struct {
		facts early.Facts
		want  early.Verdict
	}{
		"the connection was not dialled": {early.Facts{}, early.Final},

		// The handshake.
		"a handshake without a guess":           {early.Facts{Handshake: true, Met: true}, early.Final},
		"a server that never spoke":             {early.Facts{Handshake: true, Guessed: true}, early.Final},
		"a guess that was wrong":                {early.Facts{Handshake: true, Guessed: true, Met: true, WrongGuess: true}, early.RetryWithoutGuess},
		"a server that hangs up on the guess":   {early.Facts{Handshake: true, Guessed: true, Met: true}, early.RetryAndRemember},
		"a host key that was refused":           {early.Facts{Handshake: true, Guessed: true, Met: true, Refused: true}, early.Final},
		"a guess, and the context has ended":    {early.Facts{Handshake: true, Guessed: true, Met: true, ContextEnded: true}, early.Final},
		"a guess, and a deadline has passed":    {early.Facts{Handshake: true, Guessed: true, Met: true, TimedOut: true}, early.Final},
		"a second attempt that fails like that": {early.Facts{Handshake: true, Guessed: true, Met: true, Disabled: true}, early.Final},

		// The login.
		"a user who was refused":               {early.Facts{Login: true}, early.Final},
		"a flight of keys that broke off":      {early.Facts{Login: true, BrokeOffInFlight: true}, early.Retry},
		"a key that was no method yet":         {early.Facts{Login: true, KeyCutOff: true, Disconnected: true}, early.RetryAsking},
		"packets that ended the connection":    {early.Facts{Login: true, Outcome: userauth.EarlyBrokeOff, CommandSent: true}, early.RetryAndRemember},
		"packets, and a goodbye":               {early.Facts{Login: true, Outcome: userauth.EarlyBrokeOff, Disconnected: true}, early.Final},
		"packets, and a server that bears it":  {early.Facts{Login: true, Outcome: userauth.EarlyBrokeOff, BearsRefusal: true}, early.Final},
		"the same, in a flight that broke off": {early.Facts{Login: true, Outcome: userauth.EarlyBrokeOff, BearsRefusal: true, BrokeOffInFlight: true}, early.Retry},
		"packets of a request that was denied": {early.Facts{Login: true, Outcome: userauth.EarlyNoEffect, CommandSent: true}, early.Final},

		// The command.
		"no answer to the login":               {early.Facts{Login: true, Outcome: userauth.EarlyUncertain, CommandSent: true}, early.Uncertain},
		"no answer, and the context has ended": {early.Facts{Login: true, Outcome: userauth.EarlyUncertain, CommandSent: true, ContextEnded: true}, early.Uncertain},
		"granted, and the connection was lost": {early.Facts{Outcome: userauth.EarlyGranted, CommandSent: true}, early.Uncertain},
		"granted, and the host key refused":    {early.Facts{Outcome: userauth.EarlyGranted, CommandSent: true, Refused: true}, early.Uncertain},
		"granted, and a goodbye afterwards":    {early.Facts{Outcome: userauth.EarlyGranted, CommandSent: true, Disconnected: true}, early.Uncertain},
		"a goodbye instead of an answer":       {early.Facts{Login: true, Outcome: userauth.EarlyUncertain, CommandSent: true, Disconnected: true}, early.Final},
		"no command among the packets":         {early.Facts{Login: true, Outcome: userauth.EarlyUncertain}, early.Final},
		"uncertain even if keys were cut off":  {early.Facts{Login: true, Outcome: userauth.EarlyUncertain, CommandSent: true, BrokeOffInFlight: true}, early.Uncertain},
	} {
		require.Equal(t, test.want, early.Judge(test.facts), name)
	}
}

// A command never runs twice: no combination of facts retries an attempt whose
// command the server may have been granted, unless the server has said goodbye
// instead of an answer.
func TestNoVerdictRepeatsACommandThatMayHaveRun(t *testing.T) {
	for bits := range 1 << 13 {
		bit := func(n int) bool { return bits>>n&1 == 1 }
		for _, outcome := range []userauth.EarlyOutcome{
			userauth.EarlyNoEffect, userauth.EarlyUncertain, userauth.EarlyBrokeOff, userauth.EarlyGranted,
		} {
			f := early.Facts{
				Disabled: bit(0), ContextEnded: bit(1), TimedOut: bit(2), Refused: bit(3), Handshake: bit(4), Login: bit(5),
				Guessed: bit(6), Met: bit(7), WrongGuess: bit(8), Disconnected: bit(9), KeyCutOff: bit(10),
				BrokeOffInFlight: bit(11), CommandSent: bit(12), Outcome: outcome,
			}
			v := early.Judge(f)
			if f.CommandSent && (outcome == userauth.EarlyGranted || outcome == userauth.EarlyUncertain && !f.Disconnected) {
				require.Equal(t, early.Uncertain, v, "%+v", f)
			}
			if f.Disabled || f.ContextEnded || f.Refused {
				require.False(t, v.Retries(), "%+v", f)
			}
		}
	}
}
