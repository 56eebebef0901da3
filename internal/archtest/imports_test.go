package archtest_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rule lists the packages of this module that a package may import, with the
// reason for excluding the others. Tests and examples may import every package.
type rule struct {
	may []string
	why string
}

var rules = map[string]rule{
	"transport": {[]string{"transport/internal/kex", "transport/internal/packetio", "internal/ctxerr", "internal/sshkey"},
		"RFC 4253 does not know what runs above it, and serves any protocol over SSH packets"},
	"transport/internal/kex": {[]string{"internal/sntrup761"},
		"a method makes messages and a secret, and leaves it to others to send and to hash them"},
	"transport/internal/packetio": {nil,
		"packets and ciphers know neither messages nor key exchanges"},
	"userauth": {[]string{"internal/ctxerr", "internal/sshkey"},
		"it states in userauth.Transport what it needs from below, so that any transport will do"},
	"userauth/identity": {[]string{"userauth", "internal/ctxerr", "internal/sshkey"},
		"keys of files and agents are offered through what userauth exports, as a method of a user's own is"},
	"connection/internal/deadline": {nil,
		"it knows clocks and no channels"},
	"connection": {[]string{"connection/internal/deadline", "internal/ctxerr"},
		"it states in connection.Transport what it needs from below, so that any transport will do"},
	"connection/sshconn": {[]string{"connection", "transport", "internal/ctxerr"},
		"it stands between these two and x/crypto/ssh, and authentication is over when it begins"},
	"connection/hostkeys": {[]string{"connection", "transport", "internal/ctxerr", "internal/sshkey"},
		"it serves any verifier that has its methods, package knownhosts being one of them"},
	"channel": {[]string{"connection", "internal/ctxerr"},
		"sessions and forwardings use what connection exports, as a channel type of a user's own does"},
	"knownhosts": {[]string{"knownhosts/internal/hostfile", "internal/ctxerr", "internal/sshkey"},
		"a host name and a key are all it needs; it fits transport.HostKeyVerifier by its method alone"},
	"knownhosts/internal/hostfile": {[]string{"internal/ctxerr", "internal/sshkey"},
		"lines and files know what is on record, and nothing of who is to be trusted"},
	"knownhosts/internal/hosttest": {nil,
		"it has keys and files for the tests of both rooms"},
	"sshtest": {[]string{"sshtest/wire", "internal/leaks", "internal/testshell"},
		"a harness that shared code with the client would share its mistakes"},
	"sshtest/wire": {nil,
		"a peer that shared code with the client would share its mistakes"},
	"sshconfig": {[]string{"sshconfig/internal/edit", "sshconfig/internal/syntax", "sshconfig/internal/system", "internal/ctxerr"},
		"it reads files and knows no network; what a value means to a connection is the façade's matter"},
	"sshconfig/internal/syntax": {nil,
		"it has forms of text, and knows no keyword"},
	"sshconfig/internal/system": {nil,
		"it knows files and interfaces, and no line of a file"},
	"sshconfig/internal/edit": {[]string{"sshconfig/internal/syntax"},
		"it changes lines, and leaves their meaning to its caller"},
	".": {[]string{"transport", "userauth", "userauth/identity", "connection", "connection/hostkeys", "channel", "internal/ctxerr", "internal/early"},
		"the façade joins the layers; which verifier judges the host key is the caller's choice"},
	"internal/bench": {[]string{".", "transport", "userauth", "sshtest"},
		"it measures the façade as a user's program would use it, against the servers of the harness"},
	"internal/early": {[]string{"userauth", "connection", "internal/ctxerr"},
		"it decides by facts, and needs of the layers no more than the words for them"},
	"internal/ctxerr": {nil,
		"it knows contexts and nothing else"},
	"internal/leaks": {nil,
		"it watches goroutines, whoever starts them"},
	"internal/sshkey": {nil,
		"it is a table that all layers share"},
	"internal/sntrup761": {nil,
		"it is a primitive, as those of the standard library are"},
	"internal/storm": {nil,
		"it has nothing but tests"},
	"internal/testshell": {nil,
		"it serves sshtest, and knows commands and no SSH"},
	"internal/waittest": {nil,
		"it knows of a call no more than how to wait for its end"},
	"internal/archtest": {nil,
		"it reads source files and needs none of what they declare"},
}

// modules are the permitted dependencies of the code in users' programs.
var modules = []string{"golang.org/x/crypto", "golang.org/x/term", "golang.org/x/sys", "github.com/kevinburke/ssh_config"}

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
