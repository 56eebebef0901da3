package archtest_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/printer"
	"go/token"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite api.txt")

// TestAPI compares the exported declarations of all importable packages with
// api.txt, so every change of the API is a line of the commit.
func TestAPI(t *testing.T) {
	packages := make(map[string][]*file)
	for _, f := range sources(t) {
		if !f.test && !f.internal() && !f.below("examples") {
			packages[f.dir] = append(packages[f.dir], f)
		}
	}
	var api strings.Builder
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		fmt.Fprintf(&api, "package %s\n", path.Join(module, dir))
		for _, decl := range exported(t, dir, packages[dir]) {
			fmt.Fprintf(&api, "%s\n", decl)
		}
		api.WriteByte('\n')
	}
	if *update {
		require.NoError(t, os.WriteFile("api.txt", []byte(api.String()), 0o644))
	}
	golden, err := os.ReadFile("api.txt")
	require.NoError(t, err)
	if difference := compare(string(golden), api.String()); difference != "" {
		t.Fatalf("the exported API is not that of api.txt, from %s\n"+
			"If that is meant, run: go test ./internal/archtest -run TestAPI -update", difference)
	}
}

// compare describes the first line in which two texts differ.
func compare(golden, api string) string {
	want, got := strings.Split(golden, "\n"), strings.Split(api, "\n")
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			line := func(lines []string) string { return strings.Join(lines[min(i, len(lines)):min(i+1, len(lines))], "") }
			return fmt.Sprintf("line %d on:\n-%s\n+%s", i+1, line(want), line(got))
		}
	}
	return ""
}

// exported returns the exported declarations of a package in the order of go
// doc: constants, variables, functions, and types with their functions and methods.
func exported(t *testing.T, dir string, files []*file) []string {
	t.Helper()
	syntax := make([]*ast.File, len(files))
	for i, f := range files {
		syntax[i] = f.syntax
	}
	p, err := doc.NewFromFiles(files[0].fset, syntax, path.Join(module, dir))
	require.NoError(t, err)

	var decls []string
	add := func(decl ast.Decl) { decls = append(decls, render(t, decl)) }
	values := func(values []*doc.Value) {
		for _, v := range values {
			add(v.Decl)
		}
	}
	funcs := func(funcs []*doc.Func) {
		for _, f := range funcs {
			add(f.Decl)
		}
	}
	values(p.Consts)
	values(p.Vars)
	funcs(p.Funcs)
	for _, typ := range p.Types {
		add(typ.Decl)
		values(typ.Consts)
		values(typ.Vars)
		funcs(typ.Funcs)
		funcs(typ.Methods)
	}
	return decls
}

// render prints a declaration without its comments. An empty FileSet makes the
// printer forget the lines of the source, so that only the code counts.
func render(t *testing.T, decl ast.Decl) string {
	t.Helper()
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			n.Doc = nil
		case *ast.FuncDecl:
			n.Doc = nil
		case *ast.TypeSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.ValueSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.Field:
			n.Doc, n.Comment = nil, nil
		case *ast.StructType:
			n.Incomplete = false // else the printer would mention omitted fields
		}
		return true
	})
	var b strings.Builder
	// RawFormat keeps a longer name from moving all its neighbours.
	require.NoError(t, (&printer.Config{Mode: printer.RawFormat}).Fprint(&b, token.NewFileSet(), decl))
	return b.String()
}
