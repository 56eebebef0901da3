package archtest_test

import (
	"cmp"
	"go/ast"
	"maps"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

// These bounds keep files, functions and packages to a single subject each.
const (
	maxFile     = 500 // lines
	maxFunction = 60  // lines, from func to the closing brace; tests are free
	maxPackage  = 3000
)

// maxTypes bounds the exported types of packages with more than defaultMaxTypes.
// Each type is a promise to users. The types of sshtest/wire are the messages
// in the RFCs' list.
var maxTypes = map[string]int{"sshtest/wire": 40}

const defaultMaxTypes = 20

func TestSizes(t *testing.T) {
	for _, f := range sources(t) {
		assert.LessOrEqualf(t, f.lines(), maxFile, "%s has too many lines", f.path)
		if f.test {
			continue
		}
		for _, decl := range f.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				from, to := f.fset.Position(fn.Pos()).Line, f.fset.Position(fn.End()).Line
				assert.LessOrEqualf(t, to-from+1, maxFunction, "%s:%d: %s has too many lines", f.path, from, fn.Name)
			}
		}
	}
}

// reminder matches notes for later: their place is an issue.
var reminder = regexp.MustCompile(`\b(TODO|FIXME)\b`)

func TestNoReminders(t *testing.T) {
	for _, f := range sources(t) {
		for _, group := range f.syntax.Comments {
			for _, c := range group.List {
				assert.NotRegexpf(t, reminder, c.Text, "%s", f.fset.Position(c.Pos()))
			}
		}
	}
}

// TestSizesOfPackages bounds how much a reader has to keep in mind of a package:
// its lines and its exported types.
func TestSizesOfPackages(t *testing.T) {
	lines, types := make(map[string]int), make(map[string]int)
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		lines[f.dir] += f.lines()
		for _, decl := range f.syntax.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() {
					types[f.dir]++
				}
			}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(lines)) {
		assert.LessOrEqualf(t, lines[dir], maxPackage, "%s has too many lines", dir)
		assert.LessOrEqualf(t, types[dir], cmp.Or(maxTypes[dir], defaultMaxTypes), "%s exports too many types", dir)
	}
}
