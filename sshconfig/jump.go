package sshconfig

import (
	"errors"
	"strconv"
	"strings"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// Jump is a host on the way to the destination.
type Jump struct {
	User string // empty for the destination's user or the user of the hop's own configuration
	Host string
	Port int // 0 for the port of the hop's own configuration
	text string
}

// String returns j in the form user@host:port.
func (j Jump) String() string {
	text := j.Host
	if strings.Contains(text, ":") || strings.Trim(text, "0123456789.") == "" {
		text = "[" + text + "]"
	}
	if j.User != "" {
		text = j.User + "@" + text
	}
	if j.Port > 0 {
		text += ":" + strconv.Itoa(j.Port)
	}
	return text
}

// readJump reads ProxyJump. The first of ProxyJump and ProxyCommand wins over the other.
func readJump(l *line) error {
	text := strings.TrimLeft(l.rest, syntax.Blanks+"=")
	l.args = nil
	if strings.EqualFold(text, "none") {
		if l.active {
			l.claim("proxyjump", l.place())
		}
		return nil
	}
	text, _, _ = strings.Cut(text, "#")
	text = strings.TrimRight(text, " \t\n\v\f\r")
	var jumps []Jump
	for hop := range strings.SplitSeq(text, ",") {
		user, host, port, err := syntax.ParseHop(hop)
		if err != nil {
			return err
		}
		jump := Jump{User: user, Host: host, Port: port, text: hop}
		// A hop of the command line may come from anywhere; a file is the user's.
		if l.cmdline && (!syntax.ValidHost(jump.Host) || !syntax.ValidUser(jump.User)) {
			return errors.New("hop " + syntax.Quote(hop) + " has characters with a meaning in a shell")
		}
		jumps = append(jumps, jump)
	}
	if l.active && !l.isSet("proxyjump") && !l.isSet("proxycommand") {
		l.claim("proxyjump", l.place())
		// A ProxyCommand further down has lost.
		l.claim("proxycommand", l.place())
		l.config.ProxyJump = jumps
	}
	return nil
}

// jumpHost is the host of %j: the last hop's.
func (c *Config) jumpHost() string {
	if n := len(c.ProxyJump); n > 0 {
		return c.ProxyJump[n-1].Host
	}
	return ""
}

// showJumps returns the hops as ssh -G does: all but the last as written.
func showJumps(c *Config) []string {
	var hops []string
	for i, jump := range c.ProxyJump {
		if hop := jump.text; hop != "" && i < len(c.ProxyJump)-1 {
			hops = append(hops, hop)
		} else {
			hops = append(hops, jump.String())
		}
	}
	if hops == nil {
		return nil
	}
	return []string{strings.Join(hops, ",")}
}
