package archtest_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	module = "github.com/nacre-ssh/nacre"
	root   = "../.." // of the module, seen from this directory
)

// file is a Go file of the module.
type file struct {
	path   string // from the module's root, with slashes
	dir    string // of path; "." is the root package
	test   bool
	source []byte
	syntax *ast.File
	fset   *token.FileSet // shared by all files
}

// sources parses the whole module, the files for other systems included. Nested
// modules are left out.
func sources(t *testing.T) []*file {
	t.Helper()
	var files []*file
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root {
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			if err == nil || strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" {
				return filepath.SkipDir
			}
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parse(fset, path)
		files = append(files, f)
		return err
	})
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

func parse(fset *token.FileSet, path string) (*file, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return nil, err
	}
	f := &file{path: filepath.ToSlash(rel), source: source, fset: fset}
	f.dir = filepath.ToSlash(filepath.Dir(rel))
	f.test = strings.HasSuffix(path, "_test.go")
	f.syntax, err = parser.ParseFile(fset, path, source, parser.ParseComments|parser.SkipObjectResolution)
	return f, err
}

// lines counts lines as editors do.
func (f *file) lines() int { return bytes.Count(f.source, []byte("\n")) }

// below reports whether the file is in dir or in a directory under dir.
func (f *file) below(dir string) bool { return f.dir == dir || strings.HasPrefix(f.dir, dir+"/") }

// internal reports whether only this module can import the file's package.
func (f *file) internal() bool { return slices.Contains(strings.Split(f.dir, "/"), "internal") }
