package archtest_test

import (
	"go/ast"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What does not fit is two things in one.
const (
	maxFile     = 500 // lines
	maxFunction = 60  // lines, from func to the closing brace; tests are free
)

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

// reminder is what belongs into an issue.
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
