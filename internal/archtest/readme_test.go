package archtest_test

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	return string(text)
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// TestReadmeCode wants each block of Go in the README to be quoted from a file
// of the module, where it is compiled, and mostly run.
func TestReadmeCode(t *testing.T) {
	blocks := goBlock.FindAllStringSubmatch(readme(t), -1)
	require.NotEmpty(t, blocks)
	files := sources(t)
	for _, b := range blocks {
		require.Truef(t, slices.ContainsFunc(files, func(f *file) bool {
			return strings.Contains(flat(string(f.source)), "\n"+flat(b[1]))
		}), "no Go file has these lines of README.md:\n%s", b[1])
	}
}

var indent = regexp.MustCompile(`(?m)^\t+`)

// flat takes the indentation away, which is all that a quotation may change.
func flat(code string) string { return indent.ReplaceAllString(code, "") }

// TestReadmeAlgorithms wants the README to list what is offered by default, in
// its order. Host keys are left out: they are named by constants.
func TestReadmeAlgorithms(t *testing.T) {
	text := strings.Join(strings.Fields(readme(t)), " ")
	found := 0
	for _, f := range sources(t) {
		if f.dir != "transport" || f.test {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !slices.Contains([]string{"defaultKeyExchanges", "defaultCiphers", "defaultMACs"}, spec.Names[0].Name) {
				return true
			}
			found++
			list := "`" + strings.Join(stringsIn(t, spec), "`, `") + "`"
			require.Truef(t, strings.Contains(text, list), "README.md lacks %s: %s", spec.Names[0].Name, list)
			return false
		})
	}
	require.Equal(t, 3, found)
}

// stringsIn returns the string literals below a node, in their order.
func stringsIn(t *testing.T, n ast.Node) []string {
	t.Helper()
	var literals []string
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			s, err := strconv.Unquote(lit.Value)
			require.NoError(t, err)
			literals = append(literals, s)
		}
		return true
	})
	return literals
}

var link = regexp.MustCompile(`\]\(([^)#]+)`)

func TestReadmeLinks(t *testing.T) {
	for _, l := range link.FindAllStringSubmatch(readme(t), -1) {
		if !strings.Contains(l[1], "://") {
			require.FileExists(t, filepath.Join(root, l[1]))
		}
	}
}
