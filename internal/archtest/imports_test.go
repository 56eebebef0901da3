package archtest_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rule says which packages of this module a package may import, and why no
// others. Tests and examples may import what they like.
type rule struct {
	may []string
	why string
}

var rules = map[string]rule{
	"transport": {[]string{"internal/ctxerr"},
		"RFC 4253 does not know what runs above it, and serves any protocol over SSH packets"},
	"userauth": {[]string{"internal/ctxerr"},
		"it states in userauth.Transport what it needs from below, so that any transport will do"},
	"userauth/identity": {[]string{"userauth", "internal/ctxerr"},
		"keys of files and agents are offered through what userauth exports, as a method of a user's own is"},
	"connection": {[]string{"internal/ctxerr"},
		"it states in connection.Transport what it needs from below, so that any transport will do"},
	"connection/sshconn": {[]string{"connection", "transport", "internal/ctxerr"},
		"it stands between these two and x/crypto/ssh, and authentication is over when it begins"},
	"channel": {[]string{"connection", "internal/ctxerr"},
		"sessions and forwardings use what connection exports, as a channel type of a user's own does"},
	"knownhosts": {[]string{"internal/ctxerr"},
		"a host name and a key are all it needs; it fits transport.HostKeyVerifier by its method alone"},
	"sshtest": {nil,
		"a harness that shared code with the client would share its mistakes"},
	".": {[]string{"transport", "userauth", "userauth/identity", "connection", "channel", "internal/ctxerr"},
		"the façade joins the layers; which verifier judges the host key is the caller's choice"},
	"internal/bench": {[]string{".", "transport", "userauth", "sshtest"},
		"it measures the façade as a user's program would use it, against the servers of the harness"},
	"internal/ctxerr": {nil,
		"it knows contexts and nothing else"},
	"internal/storm": {nil,
		"it has nothing but tests"},
	"internal/waittest": {nil,
		"it knows of a call no more than how to wait for its end"},
	"internal/archtest": {nil,
		"it reads source files and needs none of what they declare"},
}

// modules are what code that users compile may depend on.
var modules = []string{"golang.org/x/crypto", "golang.org/x/term", "golang.org/x/sys"}

func TestImports(t *testing.T) {
	for _, f := range sources(t) {
		if f.below("examples") || f.test {
			continue
		}
		rule, ok := rules[f.dir]
		require.Truef(t, ok, "%s: say in imports_test.go what package %s may import, and why", f.path, f.dir)
		for _, path := range imports(t, f) {
			inside, ok := strings.CutPrefix(path, module+"/")
			require.Falsef(t, ok && !slices.Contains(rule.may, inside),
				"%s: package %s may not import %s: %s", f.path, f.dir, inside, rule.why)
		}
	}
}

func TestDependencies(t *testing.T) {
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		for _, path := range imports(t, f) {
			first, _, _ := strings.Cut(path, "/")
			ok := !strings.Contains(first, ".") || path == module || strings.HasPrefix(path, module+"/") ||
				slices.ContainsFunc(modules, func(m string) bool { return strings.HasPrefix(path, m+"/") || path == m })
			require.Truef(t, ok, "%s: imports %s; outside of tests only the standard library and %q may be used",
				f.path, path, modules)
		}
	}
}

func imports(t *testing.T, f *file) []string {
	t.Helper()
	var paths []string
	for _, spec := range f.syntax.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		paths = append(paths, path)
	}
	return paths
}
