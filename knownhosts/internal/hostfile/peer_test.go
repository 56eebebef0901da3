package hostfile_test

import (
	"os"
	"testing"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
	"github.com/nacre-ssh/nacre/knownhosts/internal/hosttest"
	"github.com/nacre-ssh/nacre/sshtest"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(editVariable); file != "" {
		editInProcess(file)
		return
	}
	sshtest.Main(m)
}

var (
	key    = hosttest.Key
	signer = hosttest.Signer
	text   = hosttest.Text
	write  = hosttest.Write
	read   = hosttest.Read
	find   = hosttest.Find
	lock   = hosttest.Lock
)

// parse returns the content of a file "f".
func parse(content string) *hostfile.Content {
	c := new(hostfile.Content)
	c.Parse("f", []byte(content))
	return c
}

// about returns the numbers of the lines about a name.
func about(c *hostfile.Content, name string) (numbers []int) {
	for _, l := range c.Lines {
		if l.Names != nil && l.Names.Match(name) {
			numbers = append(numbers, l.Number)
		}
	}
	return numbers
}
