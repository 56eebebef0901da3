package sshconfig

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// Setting is a value of a keyword with the place of the value.
type Setting struct {
	Keyword string // in lower case
	Value   string // as ssh -G prints the value
	File    string // empty for a default, an option of the Loader, and the destination
	Line    int
	Default bool // no file, no option and no destination has the value
}

// String returns the setting and the place: "port 2222 (/home/bob/.ssh/config line 3)".
func (s Setting) String() string {
	place := fmt.Sprintf("%s line %d", s.File, s.Line)
	switch {
	case s.Default:
		place = "default"
	case s.File == "":
		place = "command line"
	}
	return s.Keyword + " " + s.Value + " (" + place + ")"
}

// Explain returns the values of a keyword with the file and line of each. The keyword's case does not matter.
func (c *Config) Explain(keyword string) []Setting {
	k := keywordByName[syntax.Lower(keyword)]
	if k == nil || k.show == nil {
		return nil
	}
	return c.settings(k)
}

// Settings returns the values of all keywords in the order of ssh -G.
func (c *Config) Settings() []Setting {
	list := []Setting{{Keyword: "host", Value: c.Host}}
	for _, k := range keywords {
		list = append(list, c.settings(k)...)
	}
	return list
}

// settings returns the values of a keyword with their places.
func (c *Config) settings(k *keyword) []Setting {
	var list []Setting
	name := syntax.Lower(k.name)
	for i, value := range k.show(c) {
		at, set := c.originOf(name, i), c.origins[name] != nil
		list = append(list, Setting{Keyword: name, Value: value, File: at.file, Line: at.line, Default: !set})
	}
	return list
}

// originOf returns the place of a keyword's value number i. Most keywords have a single place for all values.
func (c *Config) originOf(name string, i int) origin {
	list := c.origins[name]
	if i < len(list) {
		return list[i]
	}
	if len(list) == 1 {
		return list[0]
	}
	return origin{}
}

// String returns the configuration as ssh -G prints one: a line for each value, keywords in lower case.
func (c *Config) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "host %s\n", c.Host)
	for _, k := range keywords {
		keyword := syntax.Lower(k.name)
		if k.name == "CanonicalizePermittedCNAMEs" {
			keyword = "canonicalizePermittedcnames" // OpenSSH's own spelling
		}
		for _, value := range k.show(c) {
			b.WriteString(keyword + " " + value + "\n")
		}
		if k.name == "DynamicForward" {
			showSockets(&b, c.LocalForward)
		}
	}
	return b.String()
}

// showSockets repeats OpenSSH's slip: a LocalForward to a socket appears as a DynamicForward, too.
func showSockets(b *strings.Builder, list []Forward) {
	for _, f := range list {
		if f.ConnectPath != "" {
			f.ConnectPath = ""
			fmt.Fprintf(b, "dynamicforward %s\n", f)
		}
	}
}

// modeText shows a Mode without yes and no.
func modeText(m Mode) []string { return []string{string(m)} }

// showMode spells yes and no as ssh -G does.
func showMode(m Mode, choices []string) string {
	for _, choice := range choices {
		if choice == "true" && m == Yes || choice == "false" && m == No {
			return choice
		}
	}
	return string(m)
}

// showTunnelMode shows Tunnel, where yes does not occur.
func showTunnelMode(m Mode) []string { return []string{showMode(m, []string{"false"})} }

// showKeystroke shows ObscureKeystrokeTiming: a word, or milliseconds.
func showKeystroke(d time.Duration) []string {
	switch d {
	case 0:
		return []string{"no"}
	case defaultKeystroke:
		return []string{"yes"}
	}
	return syntax.Number(int(d / time.Millisecond))
}

// showForwards shows forwards. OpenSSH prints a made-up target for a RemoteForward without a target.
func showForwards(list []Forward) []string {
	var lines []string
	for _, f := range list {
		text := f.String()
		if f.IsDynamic() && f.remote {
			text += " [socks]:0"
		}
		lines = append(lines, text)
	}
	return lines
}

// showChannels shows ChannelTimeout in seconds.
func showChannels(list []ChannelTimeout) []string {
	var words []string
	for _, t := range list {
		words = append(words, fmt.Sprintf("%s=%d", t.Type, int(t.Timeout/time.Second)))
	}
	return syntax.BlanksOrNone(words)
}

// showPermit shows PermitRemoteOpen.
func showPermit(list []string) []string {
	if len(list) == 0 {
		return []string{"any"}
	}
	return []string{strings.Join(list, " ")}
}

// showAddKeys shows AddKeysToAgent: the word, or the lifetime behind the word.
func showAddKeys(c *Config) []string {
	if c.AddKeysToAgentLifetime > 0 {
		text := strconv.Itoa(int(c.AddKeysToAgentLifetime / time.Second))
		if c.AddKeysToAgent == "confirm" {
			text = "confirm " + text
		}
		return []string{text}
	}
	return []string{showMode(c.AddKeysToAgent, []string{"true", "false"})}
}

// showForwardAgent shows ForwardAgent: the socket, or a word.
func showForwardAgent(c *Config) []string {
	if c.ForwardAgentPath != "" {
		return []string{c.ForwardAgentPath}
	}
	return syntax.YesNo(c.ForwardAgent)
}

// showTunnelDevice shows TunnelDevice.
func showTunnelDevice(devices [2]int) []string {
	return []string{syntax.ShowTunnel(devices[0]) + ":" + syntax.ShowTunnel(devices[1])}
}

// showCNAMEs shows CanonicalizePermittedCNAMEs.
func showCNAMEs(rules []CNAMERule) []string {
	var words []string
	for _, r := range rules {
		words = append(words, r.Source+":"+r.Target)
	}
	return syntax.BlanksOrNone(words)
}

// showPersist shows ControlPersist: a word, or seconds.
func showPersist(c *Config) []string {
	if c.ControlPersist && c.ControlPersistTimeout > 0 {
		return syntax.Seconds(c.ControlPersistTimeout)
	}
	return syntax.YesNo(c.ControlPersist)
}

// showEscape shows EscapeChar.
func showEscape(char int) []string {
	if char < 0 {
		return []string{"none"}
	}
	return []string{syntax.ShowChar(byte(char))}
}

// showIPQoS shows both values of IPQoS.
func showIPQoS(values [2]int) []string {
	return []string{syntax.ShowQoS(values[0]) + " " + syntax.ShowQoS(values[1])}
}

// showRekey shows RekeyLimit: bytes and seconds.
func showRekey(c *Config) []string {
	return []string{fmt.Sprintf("%d %d", uint64(c.RekeyLimit), int(c.RekeyInterval/time.Second))}
}

// showMask shows StreamLocalBindMask in octal.
func showMask(c *Config) []string { return []string{fmt.Sprintf("0%o", c.StreamLocalBindMask)} }

// showProxy shows ProxyCommand. A ProxyJump stands in its place.
func showProxy(c *Config) []string {
	if len(c.ProxyJump) > 0 {
		return nil
	}
	return syntax.Optional(c.ProxyCommand)
}
