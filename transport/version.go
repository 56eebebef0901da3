package transport

import (
	"fmt"
	"strings"
	"unicode"
)

// Bounds of RFC 4253 section 4.2 and, for the lines before the version, of
// OpenSSH's client.
const (
	maxVersion      = 255  // with CR LF
	maxPreambleLine = 8192 // bytes, with the line end
	maxPreamble     = 1024 // lines
)

// readVersion reads up to and with the server's identification string, and
// returns it without its line end. Lines in front of it are for people, who
// will only want to see them when no version follows.
func (c *Conn) readVersion() (string, error) {
	var last string
	for range maxPreamble {
		line, err := c.r.readLine(maxPreambleLine)
		if err == nil {
			err = c.checkBudget()
		}
		if err != nil {
			if last != "" {
				err = fmt.Errorf("%w (it said %q)", err, last)
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

// parseVersion checks a line that starts with "SSH-". A lone LF at its end is
// accepted, as all clients do, because many servers send it.
func parseVersion(line string) (string, error) {
	v := strings.TrimSuffix(line, "\n")
	v = strings.TrimSuffix(v, "\r")
	if len(line) > maxVersion {
		return "", protocolErrorf("version string longer than %d bytes: %q", maxVersion, clip(v))
	}
	// Programs show and log it. US-ASCII, which RFC 4253 section 4.2 has it in,
	// is more than is asked for: some servers are proud of their name.
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

// readLine returns the next line with its end.
func (r *readHalf) readLine(most int) (string, error) {
	for n := 1; ; n++ {
		if n > most {
			return "", protocolErrorf("line of more than %d bytes before the version: %q", most, clip(string(r.buf[r.start:r.start+most])))
		}
		b, err := r.peek(n)
		if err != nil {
			partial := string(r.buf[r.start:r.end])
			if partial != "" {
				err = fmt.Errorf("%w (it said %q)", err, clip(partial))
			}
			return "", err
		}
		if b[n-1] == '\n' {
			r.start += n
			r.total.bytes += int64(n)
			return string(b), nil
		}
	}
}
