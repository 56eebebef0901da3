// Package edit changes a Host block of an ssh_config file, and leaves all other bytes alone.
package edit

import (
	"errors"
	"slices"
	"strings"

	"github.com/kevinburke/ssh_config"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// Option is a new value.
type Option struct {
	Keyword string
	Value   string                 // empty takes the keyword out
	Same    func(word string) bool // whether a word is a name of the keyword
	Command bool                   // the value is the rest of the line, with # in it
}

// SetHost returns content with options set in the block for host.
func SetHost(content []byte, host string, options []Option) []byte {
	lines := strings.SplitAfter(string(content), "\n")
	if last := len(lines) - 1; lines[last] == "" {
		lines = lines[:last]
	}
	from, to, found := findBlock(lines, host)
	ending := "\n"
	if len(lines) > 0 && strings.HasSuffix(lines[0], "\r\n") {
		ending = "\r\n"
	}
	var block []string
	if found {
		block = setOptions(lines[from:to], options, ending)
	} else {
		block = newBlock(host, options, ending)
		if to = from; from > 0 && strings.TrimSpace(lines[from-1]) != "" {
			block = append([]string{ending}, block...)
		}
		if from < len(lines) {
			block = append(block, ending)
		}
	}
	if from > 0 && !strings.HasSuffix(lines[from-1], "\n") {
		lines[from-1] += ending
	}
	return []byte(strings.Join(lines[:from], "") + strings.Join(block, "") + strings.Join(lines[to:], ""))
}

// findBlock returns the lines of the block for host, without the comments in front of the next block; or the place for a
// new block.
func findBlock(lines []string, host string) (from, to int, found bool) {
	place := -1
	for i := 0; i < len(lines); i++ {
		word, rest, _ := syntax.CutKeyword(lines[i])
		switch syntax.Lower(word) {
		case "match":
			if place < 0 {
				place = i
			}
		case "host":
			patterns, _ := syntax.SplitArgs(rest, true)
			if len(patterns) == 1 && patterns[0] == host {
				return i, endOfBlock(lines, i+1), true
			}
			for _, p := range patterns {
				if place < 0 && syntax.MatchPattern(host, p) {
					place = i
				}
			}
		}
	}
	if place < 0 {
		return len(lines), len(lines), false
	}
	return startOfComments(lines, place), 0, false
}

// endOfBlock returns the end of the block around line i, in front of the next block's comments.
func endOfBlock(lines []string, i int) int {
	for i < len(lines) {
		word, _, _ := syntax.CutKeyword(lines[i])
		if name := syntax.Lower(word); name == "host" || name == "match" {
			return startOfComments(lines, i)
		}
		i++
	}
	return i
}

// startOfComments goes back over the comments and the empty lines above a block.
func startOfComments(lines []string, i int) int {
	start := i
	for start > 0 {
		text := strings.TrimSpace(lines[start-1])
		if text != "" && (text[0] != '#' || lines[start-1][0] != '#') {
			break
		}
		start--
	}
	for start < i && strings.TrimSpace(lines[start]) == "" {
		start++ // empty lines go with the block before
	}
	return start
}

// newBlock makes the lines of a block.
func newBlock(host string, options []Option, ending string) []string {
	block := []string{"Host " + host + ending}
	for _, o := range options {
		if o.Value != "" {
			block = append(block, newLine("    ", o, ending))
		}
	}
	return block
}

// newLine makes a line. The library's KV knows how a file has a keyword and a value.
func newLine(indent string, o Option, ending string) string {
	return indent + (&ssh_config.KV{Key: o.Keyword, Value: o.Value}).String() + ending
}

// setOptions changes the lines of a block.
func setOptions(block []string, options []Option, ending string) []string {
	indent := "    "
	done := make([]bool, len(options)) // an option, or another with its keyword, has a line
	var result []string
	end := 0 // behind the last line with a keyword
	for i, text := range block {
		word, _, ok := syntax.CutKeyword(text)
		// New lines look like the last line above.
		if ok && i > 0 {
			indent = text[:len(text)-len(strings.TrimLeft(text, " \t"))]
		}
		mine := indexesOf(options, word)
		if !ok || i == 0 || mine == nil {
			result = append(result, text)
		}
		// The first line of a keyword takes the place; later lines of it go.
		for n, at := range mine {
			if o := options[at]; ok && i > 0 && !done[at] && o.Value != "" {
				if n == 0 {
					result = append(result, replaceValue(text, indent, o, ending))
				} else {
					result = append(result, newLine(indent, o, ending))
				}
			}
			done[at] = done[at] || i > 0
		}
		if ok {
			end = len(result)
		}
	}
	var added []string
	for i, o := range options {
		if o.Value != "" && !done[i] {
			added = append(added, newLine(indent, o, ending))
		}
	}
	if len(added) > 0 && end > 0 && !strings.HasSuffix(result[end-1], "\n") {
		result[end-1] += ending
	}
	return slices.Concat(result[:end], added, result[end:])
}

// indexesOf returns which of the options a line with a keyword is about.
func indexesOf(options []Option, word string) []int {
	var list []int
	for i, o := range options {
		if word != "" && o.Same(word) {
			list = append(list, i)
		}
	}
	return list
}

// replaceValue puts a value in the place of a line's, and leaves the blanks and the comment. The library finds the value
// and the comment of a plain line; the value of a command reaches to the end of the line.
func replaceValue(text, indent string, o Option, ending string) string {
	body := strings.TrimRight(text, "\r\n")
	// The line may have quotes or signs that the library reads otherwise.
	kv, err := plainLine(body)
	if err != nil || o.Command {
		return newLine(indent, o, ending)
	}
	comment := ""
	if kv.Comment != "" {
		comment = "#" + kv.Comment
	}
	value := strings.TrimSuffix(body, comment)
	blank := value[len(strings.TrimRight(value, " \t")):]
	value = value[:len(value)-len(blank)]
	at := strings.LastIndex(value, kv.Value)
	if at < 0 {
		return newLine(indent, o, ending)
	}
	if at > 0 && value[at-1] == '"' {
		at--
	}
	changed := value[:at] + o.Value + blank + comment + text[len(body):]
	if !sameValue(changed, o.Value) {
		return newLine(indent, o, ending) // the library took a # within the old value for a comment
	}
	return changed
}

// sameValue reports whether a line has the arguments of value.
func sameValue(text, value string) bool {
	_, rest, _ := syntax.CutKeyword(text)
	have, err := syntax.SplitArgs(rest, true)
	want, _ := syntax.SplitArgs(value, true)
	return err == nil && slices.Equal(have, want)
}

// plainLine lexes a line with a keyword and a value.
func plainLine(text string) (*ssh_config.KV, error) {
	file, err := ssh_config.DecodeBytes([]byte(text + "\n"))
	if err != nil {
		return nil, err
	}
	for _, host := range file.Hosts {
		for _, node := range host.Nodes {
			if kv, ok := node.(*ssh_config.KV); ok && kv.Value != "" {
				return kv, nil
			}
		}
	}
	return nil, errors.New("the line has no value")
}
