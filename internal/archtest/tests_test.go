package archtest_test

import (
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// suites are the prefixes of test files without a twin among the source files,
// each with the contents of its files.
var suites = map[string]string{
	"lies":    "scripted peers that are hostile or broken",
	"interop": "servers and clients that are not ours",
	"fuzz":    "fuzz targets",
	"bench":   "benchmarks",
	"waits":   "the table of calls that can wait, and how each wait ends",
	"peer":    "peers and helpers of several test files",
	"example": "runnable examples, and the tests of the programs in examples",
	"export":  "names that tests of the package need from within",
	"main":    "TestMain",
}

// system is the ending of a file that only some builds have.
var system = regexp.MustCompile(`_(unix|linux|windows|darwin|other|race|norace)$`)

// TestFilesHaveTheirPlace requires each test file to be the twin of a source file
// or to carry the prefix of a suite, and each source file with functions to have
// a twin.
func TestFilesHaveTheirPlace(t *testing.T) {
	source, tests, code := make(map[string]*file), make(map[string]string), make(map[string]bool)
	for _, f := range sources(t) {
		if base, ok := strings.CutSuffix(f.path, "_test.go"); ok {
			tests[system.ReplaceAllString(base, "")] = f.dir
			continue
		}
		source[system.ReplaceAllString(strings.TrimSuffix(f.path, ".go"), "")] = f
		code[f.dir] = code[f.dir] || hasFunctions(f)
	}
	for base, dir := range tests {
		prefix, _, _ := strings.Cut(filepath.Base(base), "_")
		_, suite := suites[prefix]
		// A package of tests alone names its files as others name their sources.
		assert.Truef(t, suite || source[base] != nil || !code[dir],
			"%s_test.go is no twin of a source file, and has no prefix of %q", base, slices.Sorted(maps.Keys(suites)))
	}
	for base, f := range source {
		if f.below("examples") || f.lines() <= 40 || !hasFunctions(f) {
			continue
		}
		_, twin := tests[base]
		assert.Truef(t, twin, "%s has no twin %s_test.go", f.path, base)
	}
}

func hasFunctions(f *file) bool {
	return slices.ContainsFunc(f.syntax.Decls, func(d ast.Decl) bool { _, ok := d.(*ast.FuncDecl); return ok })
}

var (
	// citation matches a row of docs/threats.md cited in the comment of a test.
	citation = regexp.MustCompile(`\b([VPKACH][0-9]{1,2})\b`)
	// threat matches a row, and testName the name of a test in a row.
	threat   = regexp.MustCompile(`(?m)^\| ([VPKACH][0-9]{1,2}) \|.*$`)
	testName = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`")
)

// TestThreats requires each citation in the comments of tests to name a row of
// docs/threats.md, and each row to name tests that exist.
func TestThreats(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "threats.md"))
	require.NoError(t, err)
	rows := make(map[string]string)
	for _, m := range threat.FindAllStringSubmatch(string(text), -1) {
		rows[m[1]] = m[0]
	}
	require.NotEmpty(t, rows)
	tests := make(map[string]bool)
	for _, f := range sources(t) {
		if !f.test {
			continue
		}
		for _, decl := range f.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				tests[fn.Name.Name] = true
			}
		}
		for _, group := range f.syntax.Comments {
			for _, m := range citation.FindAllStringSubmatch(group.Text(), -1) {
				assert.NotEmptyf(t, rows[m[1]], "%s: docs/threats.md has no row %s", f.fset.Position(group.Pos()), m[1])
			}
		}
	}
	for id, row := range rows {
		names := testName.FindAllStringSubmatch(row, -1)
		assert.NotEmptyf(t, names, "docs/threats.md: row %s names no test", id)
		for _, name := range names {
			assert.Truef(t, tests[name[1]], "docs/threats.md: row %s names %s, which is no test", id, name[1])
		}
	}
}
