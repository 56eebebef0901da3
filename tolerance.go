package nacre

import (
	"slices"
	"strconv"
	"strings"
)

// tolerance is what a server is known to bear of messages that come before
// their turn. RFC 4252 and RFC 4254 leave it open, and servers differ: what is
// below was found by running them.
type tolerance struct {
	// early: channel messages right behind the request that authenticates the
	// user, and the requests of a session right behind its open, addressed to
	// the number 0 that the first channel of a connection gets.
	early bool

	// refusal: it goes on when that request was refused, and leaves the channel
	// messages unimplemented.
	refusal bool

	// probes is how many keys it can be asked about in one flight.
	probes int

	// slow: it does not even bear a request for authentication together with
	// that for the service.
	slow bool
}

// maxProbes is less than the refusals after which OpenSSH hangs up by default
// (MaxAuthTries), with one left for a signature.
const maxProbes = 5

// cautiously is what every server bears.
var cautiously = tolerance{slow: true}

// tolerates tells what the server with this identification bears. Of those that
// are not named, OpenSSH for Windows among them, only what RFC 4252 demands of
// all is expected: AsyncSSH ends a connection with an early channel, Twisted
// Conch may wait for ever, and x/crypto/ssh drops a request that comes right
// behind an open.
func tolerates(version string) tolerance {
	software, _, _ := strings.Cut(strings.TrimPrefix(version, "SSH-2.0-"), " ")
	switch {
	case atLeast(software, "OpenSSH_", 8): // tried from 8.0 to 10.5
		return tolerance{early: true, refusal: true, probes: maxProbes}
	case atLeast(software, "dropbear_", 2022): // tried from 2022.83 to 2026.94
		return tolerance{early: true, probes: maxProbes}
	case software == "Go": // x/crypto/ssh
		return tolerance{probes: maxProbes}
	case strings.HasPrefix(software, "libssh") && !atLeast(software, "libssh_", 0, 11, 3):
		return cautiously // its state becomes that of a session before the program knows
	}
	return tolerance{}
}

// atLeast tells whether software is that name with at least that version.
func atLeast(software, name string, version ...int) bool {
	rest, ok := strings.CutPrefix(software, name)
	if !ok {
		return false
	}
	var have []int
	for _, part := range strings.Split(rest, ".") {
		digits := part[:len(part)-len(strings.TrimLeft(part, "0123456789"))] // "3p1" is 3
		n, err := strconv.Atoi(digits)
		if err != nil {
			break
		}
		have = append(have, n)
	}
	return len(have) > 0 && slices.Compare(have, version) >= 0
}
