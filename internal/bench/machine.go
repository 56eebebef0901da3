package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// A machine is the place and time of the measurements, without anything that
// identifies the machine.
type machine struct {
	CPU     string
	Cores   int
	System  string
	Go      string
	OpenSSH string
	Date    time.Time
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores · %s · %s · %s · %s",
		m.CPU, m.Cores, m.System, m.Go, m.OpenSSH, m.Date.Format(time.DateOnly))
}

// thisMachine asks the files and programs of Linux, and does without on other
// systems.
func thisMachine(ctx context.Context) machine {
	m := machine{CPU: runtime.GOARCH, Cores: runtime.NumCPU(), System: runtime.GOOS, Go: runtime.Version(), Date: time.Now()}
	if cpu := matchFile("/proc/cpuinfo", `(?m)^model name\s*: (.+)$`); cpu != "" {
		m.CPU = cpu
	}
	if system := matchFile("/etc/os-release", `(?m)^PRETTY_NAME="?([^"\n]+)`); system != "" {
		m.System = system
	}
	if version, err := exec.CommandContext(ctx, "ssh", "-V").CombinedOutput(); err == nil {
		m.OpenSSH, _, _ = strings.Cut(strings.TrimSpace(string(version)), ",")
	}
	return m
}

// matchFile returns the first group of the first match in a file, or nothing.
func matchFile(path, expression string) string {
	text, _ := os.ReadFile(path)
	match := regexp.MustCompile(expression).FindSubmatch(text)
	if match == nil {
		return ""
	}
	return string(match[1])
}
