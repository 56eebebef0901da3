package syntax

import (
	"errors"
	"strings"
)

// Forward is a port or socket that is forwarded. A path replaces host and port. Without a target, no Connect field is set.
type Forward struct {
	ListenHost string
	ListenPort int
	ListenPath string

	ConnectHost string
	ConnectPort int
	ConnectPath string

	EmptyHost bool // the text has an empty ListenHost, for "*"
}

// OpenSSH's bounds of a host's name, of a socket's path and of a whole forward.
const (
	maxHost    = 1024
	maxPath    = 107
	maxForward = 255
)

// errForward is OpenSSH's answer to every mistake in a forward.
var errForward = errors.New("bad forwarding specification")

// ParseForward parses [host:]port or path, and behind a colon the same for the target.
func ParseForward(text string, dynamic, remote bool, getenv Getenv) (Forward, error) {
	if len(text) > maxForward {
		return Forward{}, errForward
	}
	// Variables come first: a value with a slash makes a path.
	text, ok, err := Expand(text, nil, getenv)
	if err != nil || !ok {
		return Forward{}, errForward
	}
	fields, ok := SplitForward(strings.TrimLeft(text, " \t\n\v\f\r"))
	if !ok {
		return Forward{}, errForward
	}
	f, ports := arrange(fields)
	if f.ListenHost == "" && len(ports) > 0 && ports[0].hasHost {
		f.ListenHost, f.EmptyHost = "*", true
	}
	// Two parts without a path are host and port of the listener. A socket as a target needs no third part.
	if targeted := f.ConnectPath != "" || len(fields) > 2; dynamic && len(fields) > 2 || !dynamic && !targeted {
		return Forward{}, errForward
	}
	for _, p := range ports {
		// Port 0 lets the server choose.
		port, err := ParsePort(p.text)
		if err != nil || port == 0 && !(remote && p.into == &f.ListenPort) {
			return Forward{}, errForward
		}
		*p.into = port
	}
	if len(f.ListenHost) > maxHost || len(f.ConnectHost) > maxHost || len(f.ListenPath) > maxPath || len(f.ConnectPath) > maxPath {
		return Forward{}, errForward
	}
	return *f, nil
}

// port is a port of a forward, not yet parsed.
type port struct {
	text    string
	into    *int
	hasHost bool // the listening port with a host before it
}

// arrange tells from the number of fields, and from the paths among them, which field means what.
func arrange(fields []Field) (*Forward, []port) {
	f := new(Forward)
	n := len(fields)
	var ports []port
	listen := func(host, portAt int) {
		if host >= 0 {
			f.ListenHost = fields[host].Text
		}
		ports = append(ports, port{fields[portAt].Text, &f.ListenPort, host >= 0})
	}
	connect := func(host int) {
		f.ConnectHost = fields[host].Text
		ports = append(ports, port{fields[host+1].Text, &f.ConnectPort, false})
	}
	switch {
	case n == 1 && fields[0].IsPath:
		f.ListenPath = fields[0].Text
	case n == 1:
		listen(-1, 0)
	case n == 2 && fields[0].IsPath && fields[1].IsPath:
		f.ListenPath, f.ConnectPath = fields[0].Text, fields[1].Text
	case n == 2 && fields[1].IsPath:
		listen(-1, 0)
		f.ConnectPath = fields[1].Text
	case n == 2:
		listen(0, 1)
	case n == 3 && fields[0].IsPath:
		f.ListenPath = fields[0].Text
		connect(1)
	case n == 3 && fields[2].IsPath:
		listen(0, 1)
		f.ConnectPath = fields[2].Text
	case n == 3:
		listen(-1, 0)
		connect(1)
	default:
		listen(0, 1)
		connect(2)
	}
	return f, ports
}

// Field is a part of a forward between colons.
type Field struct {
	Text   string
	IsPath bool // a slash stands in the part
}

// SplitForward splits a forward at its colons, into four parts at most. Brackets keep a part together, and a backslash a character.
func SplitForward(text string) (fields []Field, ok bool) {
	for text != "" && len(fields) < 4 {
		if text[0] == '[' {
			inner, after, ok := strings.Cut(text[1:], "]")
			if !ok || after != "" && after[0] != ':' {
				return nil, false
			}
			fields = append(fields, Field{inner, strings.Contains(inner, "/")})
			text = strings.TrimPrefix(after, ":")
			continue
		}
		var b strings.Builder
		i := 0
		for ; i < len(text) && text[i] != ':'; i++ {
			if text[i] == '\\' {
				if i++; i == len(text) {
					return nil, false
				}
			}
			b.WriteByte(text[i])
		}
		fields = append(fields, Field{b.String(), strings.Contains(text[:i], "/")})
		text = text[min(i+1, len(text)):]
	}
	if text != "" || len(fields) == 0 {
		return nil, false
	}
	return fields, true
}
