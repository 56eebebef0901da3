package userauth_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

// keyScript is a server of publickey with a script of answers: "-" is a refusal,
// "!" a refusal that does not allow keys, "+" an acceptance of the key, "x" an
// acceptance of another key, "s" success, "p" partial success, "?" a message
// without a meaning, "#" the end of the connection. The answers to a flight stand
// together.
type keyScript struct {
	*flights
	t    testing.TB
	keys []ssh.Signer
}

func newKeyScript(t testing.TB, keys []ssh.Signer, answers string) keyScript {
	answers = strings.ReplaceAll(answers, " ", "")
	p := newPeer(func(packet []byte) [][]byte {
		if answers == "" || answers[0] == '#' {
			return nil
		}
		var r request
		require.NoError(t, ssh.Unmarshal(packet, &r))
		var k keyRequest
		require.NoError(t, ssh.Unmarshal(r.Payload, &k))
		answer := map[byte][]byte{
			'-': failure("publickey", "password"),
			'!': failure("password"),
			'+': keyOK(k.Algorithm, k.Key),
			'x': keyOK(k.Algorithm, append([]byte{1}, k.Key...)),
			's': success,
			'p': partial("publickey"),
			'?': {79},
		}[answers[0]]
		answers = answers[1:]
		return [][]byte{answer}
	})
	return keyScript{&flights{peer: p}, t, keys}
}

// offers returns the offers in each flight: the number of the key, with a "*" if
// the key has signed. Signatures are verified.
func (k keyScript) offers() string {
	var all []string
	packets := k.written
	for _, size := range k.sizes {
		var flight []string
		for _, packet := range packets[:size] {
			var r request
			require.NoError(k.t, ssh.Unmarshal(packet, &r))
			var fields keyRequest
			require.NoError(k.t, ssh.Unmarshal(r.Payload, &fields))
			i := slices.IndexFunc(k.keys, func(s ssh.Signer) bool { return string(s.PublicKey().Marshal()) == string(fields.Key) })
			offer := fmt.Sprint(i)
			if fields.Signed {
				requireSignature(k.t, packet, k.keys[i].PublicKey())
				offer += "*"
			}
			flight = append(flight, offer)
		}
		packets = packets[size:]
		all = append(all, strings.Join(flight, " "))
	}
	return strings.Join(all, ", ")
}

// named replaces the names of keys by their numbers.
func (k keyScript) named(attempts []userauth.Attempt) string {
	var all []string
	for _, a := range attempts {
		i := slices.IndexFunc(k.keys, func(s ssh.Signer) bool {
			return a.Key != nil && string(s.PublicKey().Marshal()) == string(a.Key.Marshal())
		})
		a.Key = nil
		all = append(all, fmt.Sprintf("%d%s", i, strings.TrimPrefix(a.String(), "publickey")))
	}
	return strings.Join(all, ", ")
}

func TestProbes(t *testing.T) {
	keys := make([]ssh.Signer, 8)
	for i := range keys {
		keys[i] = ed25519Signer(t)
	}
	const (
		broken     = "protocol error: acceptance of a key that was not offered"
		notAllowed = "refused: the server does not allow the method at this point"
	)
	for name, tc := range map[string]struct {
		keys, probes int
		answers      string
		offers       string
		tried        string
		unanswered   int
	}{
		"one at a time":   {3, 0, "- + s", "0, 1, 1*", "0: refused, 1: success", 0},
		"negative":        {3, -7, "- + s", "0, 1, 1*", "0: refused, 1: success", 0},
		"one":             {3, 1, "- + s", "0, 1, 1*", "0: refused, 1: success", 0},
		"one key":         {1, 5, "s", "0*", "0: success", 0},
		"two keys":        {2, 5, "- s", "0, 1*", "0: refused, 1: success", 0},
		"first":           {6, 5, "+---- s", "0 1 2 3 4, 0*", "1: refused, 2: refused, 3: refused, 4: refused, 0: success", 0},
		"fifth":           {6, 5, "----+ s", "0 1 2 3 4, 4*", "0: refused, 1: refused, 2: refused, 3: refused, 4: success", 0},
		"sixth":           {6, 5, "----- s", "0 1 2 3 4, 5*", "0: refused, 1: refused, 2: refused, 3: refused, 4: refused, 5: success", 0},
		"second batch":    {6, 2, "-- -+ s", "0 1, 2 3, 3*", "0: refused, 1: refused, 2: refused, 3: success", 0},
		"second accepted": {4, 3, "+-+ - s", "0 1 2, 0*, 2*", "1: refused, 0: refused, 2: success", 0},
		"after both":      {4, 3, "+-+ - - s", "0 1 2, 0*, 2*, 3*", "1: refused, 0: refused, 2: refused, 3: success", 0},
		// No more than five refusals are risked, however many keys and probes.
		"limit": {8, 100, "----- - - s", "0 1 2 3 4, 5, 6, 7*",
			"0: refused, 1: refused, 2: refused, 3: refused, 4: refused, 5: refused, 6: refused, 7: success", 0},
		"limit reached in steps": {8, 3, "--- -- - + s", "0 1 2, 3 4, 5, 6, 6*",
			"0: refused, 1: refused, 2: refused, 3: refused, 4: refused, 5: refused, 6: success", 0},

		"success to the first":  {6, 5, "s----", "0 1 2 3 4", "0: success", 0},
		"success to the third":  {6, 5, "-+s--", "0 1 2 3 4", "0: refused, 2: success", 0},
		"keys not wanted":       {6, 5, "!!!!!", "0 1 2 3 4", strings.Join([]string{"0: ", ", 1: ", ", 2: ", ", 3: ", ", 4: ", ""}, notAllowed), 0},
		"not wanted any more":   {4, 3, "--!", "0 1 2", "0: refused, 1: refused, 2: " + notAllowed, 0},
		"not wanted in between": {4, 3, "-!- s", "0 1 2, 1", "0: refused, 1: " + notAllowed + ", 2: refused, 1: success", 0},
		"accepted, not wanted":  {4, 3, "+!! s", "0 1 2, 0*", "1: " + notAllowed + ", 2: " + notAllowed + ", 0: success", 0},
		"signature not wanted":  {4, 3, "+-+ !", "0 1 2, 0*", "1: refused, 0: " + notAllowed, 0},

		"partial success to a signature":   {4, 3, "-++ p s", "0 1 2, 1*, 2*", "0: refused, 1: partial success, 2: success", 0},
		"partial success to a query":       {4, 3, "p-- s", "0 1 2, 3*", "0: partial success, 1: refused, 2: refused, 3: success", 0},
		"partial success among others":     {4, 3, "-p+ s", "0 1 2, 2*", "0: refused, 1: partial success, 2: success", 0},
		"partial success, keys not wanted": {4, 3, "p!!", "0 1 2", "0: partial success, 1: " + notAllowed + ", 2: " + notAllowed, 0},

		"acceptances in another order": {4, 3, "xx- -", "0 1 2, 3*", "0: " + broken + ", 1: " + broken + ", 2: refused, 3: refused", 0},
		"one acceptance is wrong":      {4, 3, "x+- s", "0 1 2, 1*", "0: " + broken + ", 2: refused, 1: success", 0},
		"message without a meaning":    {4, 3, "-?-", "0 1 2", "0: refused, 1: unfinished, 2: refused", 0},
		"and partial success before":   {4, 3, "p?-", "0 1 2", "0: partial success, 1: unfinished, 2: refused", 0},
		"accepted instead of judged":   {4, 3, "+-- +", "0 1 2, 0*", "1: refused, 2: refused, 0: unfinished", 0},
		"end of the connection":        {6, 5, "--#", "0 1 2 3 4", "0: refused, 1: refused, 2: unfinished, 3: unfinished, 4: unfinished", 3},
		"end at once":                  {6, 5, "#", "0 1 2 3 4", "0: unfinished, 1: unfinished, 2: unfinished, 3: unfinished, 4: unfinished", 5},
		"end after an acceptance":      {6, 5, "+#", "0 1 2 3 4", "1: unfinished, 2: unfinished, 3: unfinished, 4: unfinished", 4},
		"end at a signature":           {3, 2, "-+ #", "0 1, 1*", "0: refused, 1: unfinished", 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := newKeyScript(t, keys[:tc.keys], tc.answers)
			var trace []userauth.Attempt
			err := userauth.Authenticate(t.Context(), server, &userauth.Config{
				User:    "bob",
				Methods: []userauth.Method{userauth.PublicKeys(keys[:tc.keys]...)},
				Probes:  tc.probes,
				Trace:   func(a userauth.Attempt) { trace = append(trace, a) },
			})
			require.Equal(t, tc.offers, server.offers())
			require.Equal(t, tc.tried, server.named(trace))
			if strings.HasSuffix(tc.tried, "success") {
				require.NoError(t, err)
				return
			}
			e := requireError(t, err)
			require.Equal(t, trace, e.Tried)
			require.Equal(t, tc.unanswered, e.Unanswered)
			require.Equal(t, name == "end after an acceptance", e.ProbesBrokeOff)
		})
	}
}

func TestAnswersBeyondTheRequestsGrantNothing(t *testing.T) {
	keys := []ssh.Signer{ed25519Signer(t), ed25519Signer(t), ed25519Signer(t)}
	refusal := failure("publickey")
	p := script([][]byte{refusal, refusal}, [][]byte{refusal, refusal}, nil)
	e := requireError(t, userauth.Authenticate(t.Context(), p, &userauth.Config{
		User: "bob", Methods: []userauth.Method{userauth.PublicKeys(keys...)}, Probes: 5,
	}))
	require.Len(t, e.Tried, 3)
	require.Equal(t, []string{"query ssh-ed25519", "query ssh-ed25519", "sign ssh-ed25519"}, p.keyRequests(t))
}

func TestBannersBetweenTheAnswersOfAFlight(t *testing.T) {
	keys := []ssh.Signer{ed25519Signer(t), ed25519Signer(t), ed25519Signer(t)}
	ok := keyOK("ssh-ed25519", keys[1].PublicKey().Marshal())
	shown := ""
	p := script([][]byte{banner("a"), failure("publickey"), banner("b")}, [][]byte{ok, banner("c")}, [][]byte{success})
	require.NoError(t, userauth.Authenticate(t.Context(), p, &userauth.Config{
		User: "bob", Methods: []userauth.Method{userauth.PublicKeys(keys...)}, Probes: 5,
		Banner: func(text string) { shown += text },
	}))
	require.Equal(t, "abc", shown)
	requireSignature(t, p.written[2], keys[1].PublicKey())
}

func TestListThatArrivesWithTheRefusalsOfAFlightIsHeeded(t *testing.T) {
	keys := []ssh.Signer{rsaSigner(t), ed25519Signer(t), ecdsaSigner(t)}
	var p *peer
	p = newPeer(func(packet []byte) [][]byte {
		switch len(p.written) {
		case 1, 2:
			p.extensions["server-sig-algs"] = []byte("rsa-sha2-256")
			return [][]byte{failure("publickey")}
		case 3:
			return [][]byte{keyOK("rsa-sha2-256", keys[0].PublicKey().Marshal())}
		}
		requireSignature(t, packet, keys[0].PublicKey())
		return [][]byte{success}
	})
	require.NoError(t, userauth.Authenticate(t.Context(), p, &userauth.Config{
		User: "bob", Methods: []userauth.Method{userauth.PublicKeys(keys...)}, Probes: 5,
	}))
	require.Equal(t, []string{"query rsa-sha2-512", "query ssh-ed25519", "query rsa-sha2-256", "sign rsa-sha2-256"}, p.keyRequests(t))
}

func TestListThatArrivesWithTheRefusalOfASignatureIsHeeded(t *testing.T) {
	keys := []ssh.Signer{rsaSigner(t), ed25519Signer(t)}
	blob := keys[0].PublicKey().Marshal()
	var p *peer
	p = newPeer(func([]byte) [][]byte {
		switch len(p.written) {
		case 1:
			return [][]byte{keyOK("rsa-sha2-512", blob)}
		case 2:
			p.extensions["server-sig-algs"] = []byte("rsa-sha2-256")
			return [][]byte{failure("publickey")}
		case 3:
			return [][]byte{keyOK("rsa-sha2-256", blob)}
		}
		return [][]byte{success}
	})
	require.NoError(t, authenticate(t, p, userauth.PublicKeys(keys...)))
	require.Equal(t, []string{"query rsa-sha2-512", "sign rsa-sha2-512", "query rsa-sha2-256", "sign rsa-sha2-256"}, p.keyRequests(t))
}

func TestSignerThatFailsGivesWayToTheNextAcceptedKey(t *testing.T) {
	broken := errors.New("card removed")
	keys := []ssh.Signer{
		fakeSigner{ed25519Signer(t).PublicKey(), func([]byte, string) (*ssh.Signature, error) { return nil, broken }},
		ed25519Signer(t), ed25519Signer(t),
	}
	server := newKeyScript(t, keys, "++s")
	require.NoError(t, userauth.Authenticate(t.Context(), server, &userauth.Config{
		User: "bob", Methods: []userauth.Method{userauth.PublicKeys(keys...)}, Probes: 5,
	}))
	require.Equal(t, "0 1, 1*", server.offers())
}

func TestRefusalsOfOtherMethodsCountAgainstProbes(t *testing.T) {
	keys := make([]ssh.Signer, 8)
	for i := range keys {
		keys[i] = ed25519Signer(t)
	}
	f := &flights{peer: newPeer(func([]byte) [][]byte { return [][]byte{failure("password", "publickey")} })}
	requireError(t, userauth.Authenticate(t.Context(), f, &userauth.Config{
		User: "bob", Probes: 8,
		Methods: []userauth.Method{userauth.Password("a"), userauth.Password("b"), userauth.PublicKeys(keys...)},
	}))
	require.Equal(t, []int{1, 1, 3, 1, 1, 1, 1, 1}, f.sizes)
}

func TestLastKeyGoesFirst(t *testing.T) {
	keys := []ssh.Signer{ed25519Signer(t), ed25519Signer(t), ed25519Signer(t), ed25519Signer(t)}
	third := userauth.KeyName(keys[2].PublicKey())
	for name, tc := range map[string]struct {
		last    string
		probes  int
		answers string
		offers  string
	}{
		"accepted":            {third, 0, "s", "2*"},
		"refused":             {third, 0, "- - + s", "2*, 0, 1, 1*"},
		"refused, probes":     {third, 5, "- -+ s", "2*, 0 1, 1*"},
		"refused, all others": {third, 5, "- -- s", "2*, 0 1, 3*"},
		"partial success":     {third, 5, "p -+ s", "2*, 0 1, 1*"},
		"first":               {userauth.KeyName(keys[0].PublicKey()), 5, "s", "0*"},
		"none":                {"", 5, "-+- s", "0 1 2, 1*"},
		"unknown":             {userauth.KeyName(ed25519Signer(t).PublicKey()), 5, "-+- s", "0 1 2, 1*"},
		"fingerprint only":    {ssh.FingerprintSHA256(keys[2].PublicKey()), 5, "-+- s", "0 1 2, 1*"},
	} {
		t.Run(name, func(t *testing.T) {
			server := newKeyScript(t, keys, tc.answers)
			require.NoError(t, userauth.Authenticate(t.Context(), server, &userauth.Config{
				User: "bob", Methods: []userauth.Method{userauth.PublicKeys(keys...)}, Probes: tc.probes, LastKey: tc.last,
			}))
			require.Equal(t, tc.offers, server.offers())
		})
	}
}

func TestLastKeyWhoseAlgorithmIsNotWanted(t *testing.T) {
	keys := []ssh.Signer{ed25519Signer(t), ecdsaSigner(t), rsaSigner(t)}
	var p *peer
	p = newPeer(func([]byte) [][]byte {
		if len(p.written) == 1 {
			p.extensions["server-sig-algs"] = []byte("rsa-sha2-256")
			return [][]byte{failure("publickey")}
		}
		return [][]byte{success}
	})
	require.NoError(t, userauth.Authenticate(t.Context(), p, &userauth.Config{
		User: "bob", Methods: []userauth.Method{userauth.PublicKeys(keys...)}, LastKey: userauth.KeyName(keys[2].PublicKey()),
	}))
	require.Equal(t, []string{"sign rsa-sha2-512", "sign rsa-sha2-256"}, p.keyRequests(t))
}
