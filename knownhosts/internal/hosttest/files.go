package hosttest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Write returns the name of a new file with a content.
func Write(tb testing.TB, content string) string {
	tb.Helper()
	name := filepath.Join(tb.TempDir(), "known_hosts")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return name
}

// Read returns the content of a file.
func Read(tb testing.TB, name string) string {
	tb.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}

// Find asks ssh-keygen for the numbers of the lines about a name.
func Find(tb testing.TB, name, file string) (numbers []int) {
	tb.Helper()
	out, err := exec.Command("ssh-keygen", "-F", name, "-f", file).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 && len(out) == 0 {
		return nil
	}
	if err != nil {
		tb.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if _, number, ok := strings.Cut(line, " found: line "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(number))
			if err != nil {
				tb.Fatal(err)
			}
			numbers = append(numbers, n)
		}
	}
	return numbers
}
