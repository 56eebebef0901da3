package sshconfig

import (
	"errors"
	"slices"
	"strconv"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// Forward is a port or socket that is forwarded. A path replaces host and port.
type Forward struct {
	// ListenHost is empty where GatewayPorts decides, and "*" for all addresses.
	ListenHost string
	ListenPort int
	ListenPath string

	// A DynamicForward, and a RemoteForward without a target, has no Connect fields: the client names the target by SOCKS.
	ConnectHost string
	ConnectPort int
	ConnectPath string

	empty  bool // the file has an empty host for "*"
	remote bool
}

// IsDynamic reports whether f has no fixed target.
func (f Forward) IsDynamic() bool { return f.ConnectPort == 0 && f.ConnectPath == "" }

// readForward reads LocalForward, RemoteForward and DynamicForward.
func readForward(field func(*Config) *[]Forward, dynamic, remote bool) func(l *line) error {
	return func(l *line) error {
		text, err := l.arg()
		if err != nil {
			return err
		}
		dynamic := dynamic
		if !dynamic {
			target, _ := l.next()
			if target == "" && !remote {
				return errors.New("the target is missing")
			}
			// A RemoteForward without a target makes the client a SOCKS proxy.
			if dynamic = target == ""; !dynamic {
				text += ":" + target
			}
		}
		p, err := syntax.ParseForward(text, dynamic, remote, l.config.getenv)
		if err != nil {
			return err
		}
		f := Forward{ListenHost: p.ListenHost, ListenPort: p.ListenPort, ListenPath: p.ListenPath, ConnectHost: p.ConnectHost,
			ConnectPort: p.ConnectPort, ConnectPath: p.ConnectPath, empty: p.EmptyHost, remote: remote}
		// A forward that is there already, in a second pass for instance, is not added.
		list, name := field(l.config), syntax.Lower(l.keyword.name)
		if name == "dynamicforward" && !f.IsDynamic() {
			list, name = &l.config.LocalForward, "localforward" // a DynamicForward of the form port:socket
		}
		if l.active && !slices.Contains(*list, f) {
			*list = append(*list, f)
			l.config.origins[name] = append(l.config.origins[name], l.place())
		}
		return nil
	}
}

// String returns f as ssh -G shows a forward.
func (f Forward) String() string {
	text := f.ListenPath
	if host := f.ListenHost; text == "" && host == "" {
		text = strconv.Itoa(f.ListenPort)
	} else if text == "" {
		if f.empty {
			host = ""
		}
		text = "[" + host + "]:" + strconv.Itoa(f.ListenPort)
	}
	switch {
	case f.ConnectPath != "":
		return text + " " + f.ConnectPath
	case !f.IsDynamic():
		return text + " [" + f.ConnectHost + "]:" + strconv.Itoa(f.ConnectPort)
	}
	return text
}
