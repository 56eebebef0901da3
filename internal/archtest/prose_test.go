package archtest_test

import (
	"go/ast"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// pronouns are words that make a reader look for their noun. A few are natural;
// above maxPronouns a comment reads like a riddle. Packages of the standard library
// and of quic-go, pgx and age have 2 to 4 percent.
var pronouns = map[string]bool{"it": true, "that": true, "which": true, "what": true, "one": true, "such": true}

// Bounds of the prose in comments, in percent.
const (
	maxPronouns = 5  // of the words in comments, in each package
	minComments = 15 // of the lines that are not tests, in the whole module
	maxComments = 20
)

var word = regexp.MustCompile(`[A-Za-z][A-Za-z']*`)

// words counts the words of a file's comments, and the pronouns among them.
// Directives and code in comments are no prose.
func (f *file) words() (all, pronoun int) {
	for _, group := range f.syntax.Comments {
		for _, c := range group.List {
			for line := range strings.SplitSeq(c.Text, "\n") {
				if strings.HasPrefix(line, "//\t") || strings.HasPrefix(line, "//go:") {
					continue
				}
				for _, w := range word.FindAllString(line, -1) {
					all++
					if pronouns[strings.ToLower(w)] {
						pronoun++
					}
				}
			}
		}
	}
	return all, pronoun
}

func TestCommentsNameTheirSubject(t *testing.T) {
	all, pronoun := make(map[string]int), make(map[string]int)
	for _, f := range sources(t) {
		dir := f.dir
		if f.test {
			dir += ", tests"
		}
		a, p := f.words()
		all[dir] += a
		pronoun[dir] += p
	}
	for _, dir := range slices.Sorted(maps.Keys(all)) {
		assert.LessOrEqualf(t, 100*pronoun[dir], maxPronouns*all[dir],
			"%s: %d of %d words in comments are among %q", dir, pronoun[dir], all[dir], slices.Sorted(maps.Keys(pronouns)))
	}
}

func TestShareOfComments(t *testing.T) {
	comments, lines := 0, 0
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		lines += f.lines()
		for _, group := range f.syntax.Comments {
			comments += f.fset.Position(group.End()).Line - f.fset.Position(group.Pos()).Line + 1
		}
	}
	assert.GreaterOrEqual(t, 100*comments, minComments*lines, "comments: %d of %d lines", comments, lines)
	assert.LessOrEqual(t, 100*comments, maxComments*lines, "comments: %d of %d lines", comments, lines)
}

// TestDocsBeginWithTheirName has the comment of each function and type begin with
// its name, which is the subject of the first sentence.
func TestDocsBeginWithTheirName(t *testing.T) {
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		for _, decl := range f.syntax.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				checkDoc(t, f, d.Name, d.Doc, exportedReceiver(d))
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if s, ok := spec.(*ast.TypeSpec); ok {
						doc := s.Doc
						if doc == nil && len(d.Specs) == 1 {
							doc = d.Doc
						}
						checkDoc(t, f, s.Name, doc, true)
					}
				}
			}
		}
	}
}

// exportedReceiver reports whether users of the package can see the method; a
// function has no receiver to hide it.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	name, ok := typ.(*ast.Ident)
	return !ok || name.IsExported()
}

func checkDoc(t *testing.T, f *file, name *ast.Ident, doc *ast.CommentGroup, visible bool) {
	t.Helper()
	if doc == nil {
		promise := name.IsExported() && visible && !strings.Contains(f.dir, "internal") && !f.below("examples")
		assert.Falsef(t, promise && !slices.Contains(plain, name.Name), "%s: %s has no comment", f.fset.Position(name.Pos()), name)
		return
	}
	text := doc.Text()
	for _, article := range []string{"A ", "An ", "The "} {
		text = strings.TrimPrefix(text, article)
	}
	first, rest, _ := strings.Cut(text, " ")
	first = strings.TrimRight(strings.TrimSuffix(strings.TrimSpace(first), "'s"), ",:.")
	ok := first == name.Name || first == "RFC" || strings.HasPrefix(rest, "and ") // several names share a comment
	assert.Truef(t, ok, "%s: the comment of %s begins with %q", f.fset.Position(doc.Pos()), name, first)
}
