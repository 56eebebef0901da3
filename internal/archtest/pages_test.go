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

// pages are the texts for users and developers, by their paths from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	pages := make(map[string]string)
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			rel, err := filepath.Rel(root, path)
			require.NoError(t, err)
			pages[filepath.ToSlash(rel)] = string(text)
		}
	}
	require.Contains(t, pages, "README.md")
	return pages
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// TestPagesQuoteCode wants each block of Go in the pages to be quoted from a file
// of the module, where the block is compiled, and mostly run.
func TestPagesQuoteCode(t *testing.T) {
	files := sources(t)
	for path, text := range pages(t) {
		for _, b := range goBlock.FindAllStringSubmatch(text, -1) {
			require.Truef(t, slices.ContainsFunc(files, func(f *file) bool {
				return strings.Contains(flat(string(f.source)), "\n"+flat(b[1]))
			}), "no Go file has these lines of %s:\n%s", path, b[1])
		}
	}
}

// maxReadme is how much a visitor reads before deciding, in lines.
const maxReadme = 200

func TestReadmeIsShort(t *testing.T) {
	require.LessOrEqual(t, strings.Count(pages(t)["README.md"], "\n"), maxReadme)
}

var indent = regexp.MustCompile(`(?m)^\t+`)

// flat removes the indentation, the only difference permitted in a quotation.
func flat(code string) string { return indent.ReplaceAllString(code, "") }

// TestPageOfAlgorithms wants docs/algorithms.md to list the default offer, in its
// order. Host keys are left out: constants name them.
func TestPageOfAlgorithms(t *testing.T) {
	text := strings.Join(strings.Fields(pages(t)["docs/algorithms.md"]), " ")
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
			require.Truef(t, strings.Contains(text, list), "docs/algorithms.md lacks %s: %s", spec.Names[0].Name, list)
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

func TestPagesLinkToFiles(t *testing.T) {
	for path, text := range pages(t) {
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(l[1], "://") {
				continue
			}
			target := filepath.Join(root, filepath.Dir(path), l[1])
			_, err := os.Stat(target)
			require.NoErrorf(t, err, "%s", path)
		}
	}
}
