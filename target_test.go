package nacre

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestTargets(t *testing.T) {
	for in, want := range map[string]target{
		"u@host":                             {"u", "host:22"},
		"u@host:2222":                        {"u", "host:2222"},
		"u@host:022":                         {"u", "host:22"},
		"u@host:65535":                       {"u", "host:65535"},
		"u@192.0.2.1":                        {"u", "192.0.2.1:22"},
		"u@192.0.2.1:1":                      {"u", "192.0.2.1:1"},
		"u@::1":                              {"u", "[::1]:22"},
		"u@[::1]":                            {"u", "[::1]:22"},
		"u@[::1]:2222":                       {"u", "[::1]:2222"},
		"u@fe80::1%eth0":                     {"u", "[fe80::1%eth0]:22"},
		"u@[fe80::1%eth0]:2222":              {"u", "[fe80::1%eth0]:2222"},
		"u@host.example.com.":                {"u", "host.example.com.:22"},
		"u@bücher.example":                   {"u", "bücher.example:22"},
		"first.last@host":                    {"first.last", "host:22"},
		"user@realm@host":                    {"user@realm", "host:22"},
		`DOMAIN\user@host`:                   {`DOMAIN\user`, "host:22"},
		"_svc-x+y~z#1=é@h-1_2":               {"_svc-x+y~z#1=é", "h-1_2:22"},
		"ssh://u@host":                       {"u", "host:22"},
		"ssh://u@host/":                      {"u", "host:22"},
		"ssh://u@host:":                      {"u", "host:22"},
		"ssh://u@host:2222":                  {"u", "host:2222"},
		"ssh://u@[2001:db8::1]":              {"u", "[2001:db8::1]:22"},
		"ssh://u@[fe80::1%25eth0]:2222":      {"u", "[fe80::1%eth0]:2222"},
		"ssh://user%40realm@host":            {"user@realm", "host:22"},
		"ssh://admin%3Aweb1@host":            {"admin:web1", "host:22"},
		"HOST$@host":                         {"HOST$", "host:22"},
		"Jane Doe@host":                      {"Jane Doe", "host:22"},
		"ssh://Jane%20Doe@host":              {"Jane Doe", "host:22"},
		"user/node@host":                     {"user/node", "host:22"},
		"ssh://DOMAIN%5Cuser@host.example:1": {`DOMAIN\user`, "host.example:1"},
	} {
		got, err := parseTarget(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
}

// H11: a user or host that is dangerous in a shell is refused, in both forms of a
// target. Dial starts no process, but a caller may put a target into the command
// line of a ProxyCommand, or into a log.
func TestTargetsThatAreNone(t *testing.T) {
	bad := map[string][]string{
		"no user":        {"host", "host:22", "@host", "[::1]:22", "::1", "ssh://host", "ssh://@host", ""},
		"no host":        {"u@", "u@:22", "u@[]", "u@[]:22", "@", "ssh://u@", "ssh://u@:22", "ssh://", "ssh:///"},
		"port":           {"u@h:0", "u@h:65536", "u@h:abc", "u@h:-1", "u@h:+1", "u@h:", "u@h: 1", "u@h:1 ", "u@h:0x16", "u@h:99999999999999999999", "u@h:22abc"},
		"port of a URI":  {"ssh://u@h:0", "ssh://u@h:65536", "ssh://u@h:abc", "ssh://u@h:-1"},
		"brackets":       {"u@[::1", "u@::1]", "u@[::1]22", "u@[[::1]]", "u@[::1]:22]", "u@x[::1]", "ssh://u@[::1", "u@[a]b]:1"},
		"not an address": {"u@a:b:c", "u@1:2:3", "u@host:22:33", "u@::1%", "u@::g", "u@%h", "u@h%eth0", "u@[192.0.2.1:22]", "u@%25", "ssh://u@[::zz]"},
		"options": {
			"-oProxyCommand=x", "u@-oProxyCommand=x", "-oProxyCommand=x@host", "u@-h", "-u@h", "-", "--", "u@-",
			"ssh://-oProxyCommand=x/", "ssh://-oProxyCommand=x@h", "ssh://u@-oProxyCommand=x",
		},
		"rest of a URI": {
			"ssh://u:password@h", "ssh://u:@h", "ssh://u@h/path", "ssh://u@h?q", "ssh://u@h#f", "ssh://u;fingerprint=x@h",
			"http://u@h", "SSH://u@h", "sftp://u@h", "ssh:u@h",
		},
		"escapes in a URI": {"ssh://u@h%00", "ssh://u%00@h", "ssh://u@h%0a", "ssh://u%0A@h", "ssh://u%20-x@h", "ssh://u%24(id)@h", "ssh://u%5C@h", "ssh://u%60id%60@h", "ssh://%2DoX@h", "ssh://u@%2DoX", "ssh://%zz@h"},
		"bytes": {
			"u@h\n", "u\n@h", "u@h\x00", "u\x00@h", "u@h\r", "u@h\x7f", "u @h", " u@h", "u -x@h", "u@ h", `u\@h`, "u:pw@h", "u@h\t", "u@h\x1b[2J",
			"u@h\u0085", "u@h\u202e", "u@h\u2028", "u@h\u00a0", "u\u200b@h", "u@h\xff", "u\xff@h", "u@\ufffd",
		},
	}
	for _, c := range "'`\"$;&<>|(){}[]*?!,/" {
		bad["shell"] = append(bad["shell"], "u@h"+string(c)+"x", "ssh://u@h"+string(c)+"x")
	}
	for _, c := range "'`\";&<>|(){},%" {
		bad["shell"] = append(bad["shell"], "u"+string(c)+"x@h", string(c)+"@h", "ssh://u"+string(c)+"x@h")
	}
	for _, s := range []string{"a;id", "$(id)", "`id`", "a|b", "a&b", "a>b", "'a'", `"a"`, "{a,b}", "a,b", `a\b`, "%h", "%n", "a b", "*"} {
		bad["commands"] = append(bad["commands"], "u@"+s, "u@"+s+":22", "u@["+s+"]:22")
		if s != `a\b` && s != "a b" && s != "*" {
			bad["commands"] = append(bad["commands"], s+"@h")
		}
	}
	for kind, targets := range bad {
		for _, in := range targets {
			got, err := parseTarget(in)
			require.Error(t, err, "%s: %q became %+v", kind, in, got)
			require.Zero(t, got)
			text := err.Error()
			require.True(t, strings.HasPrefix(text, "nacre: target "), text)
			require.True(t, utf8.ValidString(text))
			require.False(t, strings.ContainsAny(text, "\n\r\x00\x1b\x7f"), "%q", text)
		}
	}
}

// An error about a target must not show a password in the target.
func TestPasswordOfATargetIsNotRepeated(t *testing.T) {
	for _, in := range []string{
		"ssh://u:hunter2@h", "u:hunter2@h", "ssh://u:hunter2@x@h", "ssh://u:hunter2%zz@h", "http://u:hunter2@h:22", "u:hunter2@h:22",
	} {
		_, err := parseTarget(in)
		require.ErrorContains(t, err, "u:xxxxx@")
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"u@h", "u@[::1]:22", "ssh://u@h:1/", "u@fe80::1%eth0", "ssh://%2D@h", "u@h:0", "@", "[", "u@[]:", "Jane Doe@h", "ssh://a%3Ab@h", "a/b$@h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseTarget(s)
		if err != nil {
			require.Zero(t, got)
			return
		}
		for part, not := range map[string]string{got.user: unsafeUser, got.addr: "'`\"$;&<>|(){}*?!,/ \\"} {
			require.NotEmpty(t, part)
			require.NotEqual(t, byte('-'), part[0])
			require.False(t, strings.ContainsAny(part, "\x00\n\r\t\x1b"+not), "%q", part)
		}
		// The name of a parsed target parses to the same target again.
		name := got.user + "@" + got.addr
		if strings.Contains(got.user, ":") {
			name = (&url.URL{Scheme: "ssh", User: url.User(got.user), Host: got.addr}).String()
		}
		again, err := parseTarget(name)
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}
