package transport

import (
	"fmt"
	"strings"
	"unicode"
)

// Bounds of RFC 4253 section 4.2 and, for the lines before the version, of OpenSSH's
// client.
const (
	maxVersion      = 255  // with CR LF
	maxPreambleLine = 8192 // bytes, with the line end
	maxPreamble     = 1024 // lines
)

// readVersion reads the server's identification string, and returns the string without
// its line end. Lines in front are for people; an error shows the last line, in case
// no version follows.
func (c *Conn) readVersion() (string, error) {
	var last string
	for range maxPreamble {
		line, err := c.readLine()
		if err == nil {
			err = c.checkBudget()
		}
		if err != nil {
			if last != "" {
				err = fmt.Errorf("%w (the server said %q)", err, last)
			}
			return "", err
		}
		if strings.HasPrefix(line, "SSH-") {
			return parseVersion(line)
		}
		last = clip(line)
	}
	return "", protocolErrorf("no SSH version in %d lines; the last is %q", maxPreamble, last)
}

// parseVersion checks a line that starts with "SSH-". A lone LF at the end is
// accepted, as in all clients, because many servers send a lone LF.
func parseVersion(line string) (string, error) {
	v := strings.TrimSuffix(line, "\n")
	v = strings.TrimSuffix(v, "\r")
	if len(line) > maxVersion {
		return "", protocolErrorf("version string longer than %d bytes: %q", maxVersion, clip(v))
	}
	// Programs show and log the version. RFC 4253 section 4.2 demands US-ASCII, but
	// some servers have names with other letters.
	if strings.ContainsFunc(v, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf) }) {
		return "", protocolErrorf("control character in the version %q", v)
	}
	// "1.99" is a server that also speaks 1.x: RFC 4253 section 5.1.
	for _, prefix := range []string{"SSH-2.0-", "SSH-1.99-"} {
		if len(v) > len(prefix) && strings.HasPrefix(v, prefix) {
			return v, nil
		}
	}
	return "", protocolErrorf("unsupported version %q", v)
}

// readLine returns the next line with its end. An error shows the line as far as it
// has come.
func (c *Conn) readLine() (string, error) {
	line, err := c.r.Line(maxPreambleLine)
	switch {
	case err != nil && line != "":
		return "", fmt.Errorf("%w (the server said %q)", err, clip(line))
	case err != nil:
		return "", err
	case !strings.HasSuffix(line, "\n"):
		return "", protocolErrorf("line of more than %d bytes before the version: %q", maxPreambleLine, clip(line))
	}
	return line, nil
}
