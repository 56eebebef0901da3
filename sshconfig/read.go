package sshconfig

import (
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
	"github.com/nacre-ssh/nacre/sshconfig/internal/system"
)

// Bounds keep a hostile or looping configuration from taking all memory or time. Depth is OpenSSH's.
const (
	maxDepth = 16       // Includes within Includes
	maxFiles = 4096     // files in a pass
	maxSize  = 16 << 20 // bytes of all files in a pass
	maxArgs  = 4096     // arguments of a line
)

// reading is a file under way.
type reading struct {
	name    string
	system  bool
	never   bool // included by a block that does not match: checked, without effect
	depth   int
	cmdline bool
}

// line is a line under way.
type line struct {
	*state
	*reading
	number  int
	keyword *keyword
	rest    string   // the line behind the keyword
	args    []string // the arguments not yet taken
	active  bool     // the block of the line matches
}

// readAll reads the files for a pass.
func (s *state) readAll() error {
	s.files, s.size = 0, 0
	files := s.Files
	if files == nil {
		files = []File{UserFile(), SystemFile()}
	}
	for _, f := range files {
		// Data stays the property of the caller.
		content := f.Data
		name := s.tilde(f.Name)
		if content == nil {
			var err error
			if content, err = s.readFile(name, f.Private); f.Optional && errors.Is(err, fs.ErrNotExist) {
				continue
			} else if err != nil {
				return errorf("file %s: %w", syntax.Quote(name), err)
			}
		}
		active := true
		if err := s.lines(&reading{name: name, system: f.System}, content, &active); err != nil {
			return err
		}
	}
	return nil
}

// readFile reads a file within the bounds. A directory is an empty file, as for OpenSSH on Linux.
func (s *state) readFile(name string, private bool) ([]byte, error) {
	if s.files++; s.files > maxFiles {
		return nil, errors.New("too many files")
	}
	f, err := system.Open(s.FS, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// Whoever can write the file can run commands as the user.
	if private && !system.OwnedSafely(info, s.local.User) {
		return nil, errors.New("bad owner or permissions: others may write the file")
	}
	if info.IsDir() {
		return nil, nil
	}
	content, err := io.ReadAll(io.LimitReader(f, int64(maxSize-s.size+1)))
	if err != nil {
		return nil, err
	}
	if s.size += len(content); s.size > maxSize {
		return nil, errors.New("too many bytes of configuration")
	}
	return content, nil
}

// lines interprets a file. active tells whether the block of the Include matches, and ends as the last block has it.
func (s *state) lines(r *reading, content []byte, active *bool) error {
	number := 0
	for text := range strings.Lines(string(content)) {
		number++
		if err := ctxerr.Of(s.ctx); err != nil {
			return err
		}
		if err := s.line(r, text, number, active); err != nil {
			return err
		}
	}
	return nil
}

// option interprets an entry of Loader.Options.
func (s *state) option(text string) error {
	active := true
	return s.line(&reading{name: "command-line", cmdline: true}, text, 0, &active)
}

// line interprets a line, and changes active at a Host or Match line.
func (s *state) line(r *reading, text string, number int, active *bool) error {
	// A line belongs to the block of the last Host or Match.
	l := &line{state: s, reading: r, number: number, active: *active}
	if len(text) > syntax.MaxLine {
		return l.fail("", errors.New("the line is too long"))
	}
	word, rest, ok := syntax.CutKeyword(text)
	if !ok {
		return nil
	}
	l.rest = rest
	name := syntax.Lower(word)
	if rest == "" {
		return l.fail(word, errMissing)
	}
	// OpenSSH looks for quotes and arguments even in lines to ignore.
	l.keyword = keywordByName[name]
	if l.keyword == nil && syntax.MatchList(name, syntax.Lower(strings.Join(s.config.IgnoreUnknown, ","))) != 1 {
		return l.fail(word, errors.New("the keyword is unknown"))
	}
	var err error
	if l.args, err = syntax.SplitArgs(rest, true); err != nil {
		return l.fail(word, err)
	}
	if len(l.args) > maxArgs {
		return l.fail(word, errors.New("too many arguments"))
	}
	if l.keyword == nil {
		if l.active {
			l.ignore(word)
		}
		return nil
	}
	// Every line is checked. Only lines of a matching block have an effect.
	if err := l.keyword.read(l); err != nil && err != errKeep {
		return l.fail(l.keyword.name, err)
	}
	if len(l.args) > 0 {
		return l.fail(l.keyword.name, errors.New("extra arguments "+syntax.Quote(strings.Join(l.args, " "))))
	}
	// Host and Match have changed the state; all others have not.
	*active = l.active
	return nil
}

// fail wraps err with the place. An error with a place, from an included file, stays as it is.
func (l *line) fail(keyword string, err error) error {
	if placed := (*Error)(nil); errors.As(err, &placed) {
		return err
	}
	return &Error{File: l.name, Line: l.number, Keyword: keyword, Err: err}
}

// ignore records a line without effect.
func (l *line) ignore(word string) {
	l.args = nil
	l.config.Ignored = append(l.config.Ignored, Setting{Keyword: syntax.Lower(word), Value: l.rest, File: l.place().file, Line: l.number})
}

// place returns the place of the line. Loader.Options have no place.
func (l *line) place() origin {
	if l.cmdline {
		return origin{}
	}
	return origin{l.name, l.number}
}

// next takes an argument. ok is false when none is left.
func (l *line) next() (arg string, ok bool) {
	if len(l.args) == 0 {
		return "", false
	}
	arg, l.args = l.args[0], l.args[1:]
	return arg, true
}

// arg takes an argument that must not be empty.
func (l *line) arg() (string, error) {
	if arg, _ := l.next(); arg != "" {
		return arg, nil
	}
	return "", errMissing
}

// all takes all arguments. word is an argument with a meaning only when alone, or empty.
func (l *line) all(alone ...string) ([]string, error) {
	var list []string
	for len(l.args) > 0 {
		arg, _ := l.next()
		for _, word := range alone {
			if strings.EqualFold(arg, word) && (len(list) > 0 || len(l.args) > 0) {
				return nil, errors.New(syntax.Quote(word) + " must be the only argument")
			}
		}
		list = append(list, arg)
	}
	return list, nil
}
