package early

import (
	"slices"
	"strconv"
	"strings"
)

// Server describes the early messages that a server bears. RFC 4252 and RFC 4254
// leave the matter open, and servers differ. The zero value bears the minimum of
// RFC 4252.
type Server struct {
	// Channel: channel messages may stand behind the request that authenticates
	// the user, and the requests of a session behind its open, addressed to 0, the
	// number of a connection's first channel.
	Channel bool

	// Refusal: a server that refuses to authenticate the user goes on, and leaves
	// the channel messages behind the request unimplemented.
	Refusal bool

	// Probes is the number of keys that a flight may ask about.
	Probes int

	// WaitService: the request for authentication has to wait for the answer to
	// the request for the service.
	WaitService bool
}

// InTurn is a server without any early message. Every server bears InTurn.
var InTurn = Server{WaitService: true}

// maxProbes is below the number of refusals after which OpenSSH hangs up by
// default (MaxAuthTries 6), and leaves room for a signature.
const maxProbes = 5

// kinds are the servers known to bear more or less than the zero Server, a row
// for each kind. The first fitting row counts. Three servers have no row on
// purpose: OpenSSH for Windows, whose software is "OpenSSH_for_Windows_9.5";
// AsyncSSH, because an early channel ends the connection; and Twisted Conch,
// because the server may then wait for ever.
var kinds = []struct {
	fits  func(software string) bool
	bears Server
	why   string // where the row comes from
}{
	{atLeast("OpenSSH_", 8), Server{Channel: true, Refusal: true, Probes: maxProbes},
		"tried from 8.0 to 10.5"},
	{atLeast("dropbear_", 2022), Server{Channel: true, Probes: maxProbes},
		"tried from 2022.83 to 2026.94, which hang up behind a refusal with channel messages"},
	{exactly("Go"), Server{Probes: maxProbes},
		"x/crypto/ssh, tried at 0.58: a request right behind the open of its channel is dropped"},
	{atLeast("libssh_", 0, 11, 3), Server{},
		"the bug below is mended"},
	{startsWith("libssh"), InTurn,
		"before 0.11.3 the state of the server becomes that of a session before its program knows"},
}

// ServerOf returns the row of a server by its version line, RFC 4253 section 4.2.
func ServerOf(version string) Server {
	software, _, _ := strings.Cut(strings.TrimPrefix(version, "SSH-2.0-"), " ")
	for _, k := range kinds {
		if k.fits(software) {
			return k.bears
		}
	}
	return Server{}
}

func exactly(name string) func(string) bool {
	return func(software string) bool { return software == name }
}

func startsWith(name string) func(string) bool {
	return func(software string) bool { return strings.HasPrefix(software, name) }
}

// atLeast fits software of this name with at least this version. "9.2p1" has the
// numbers 9 and 2.
func atLeast(name string, version ...int) func(string) bool {
	return func(software string) bool {
		rest, ok := strings.CutPrefix(software, name)
		if !ok {
			return false
		}
		var have []int
		for part := range strings.SplitSeq(rest, ".") {
			digits := part[:len(part)-len(strings.TrimLeft(part, "0123456789"))]
			n, err := strconv.Atoi(digits)
			if err != nil {
				break
			}
			have = append(have, n)
		}
		return len(have) > 0 && slices.Compare(have, version) >= 0
	}
}
