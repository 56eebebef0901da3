package sshconfig

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nacre-ssh/nacre/sshconfig/internal/syntax"
)

// duration keeps the table of keywords short.
type duration = time.Duration

// readFlag reads yes or no, or true or false, in any case.
func readFlag(l *line) (bool, error) {
	arg, err := l.arg()
	if err != nil {
		return false, err
	}
	switch syntax.Lower(arg) {
	case "yes", "true":
		return true, nil
	case "no", "false":
		return false, nil
	}
	return false, errChoice(arg)
}

// errChoice refuses a word unknown to the keyword.
func errChoice(arg string) error {
	return errors.New("value " + syntax.Quote(arg) + " is not one of the choices")
}

// readCompression reads Compression, without the words true and false.
func readCompression(l *line) (bool, error) {
	arg, err := l.arg()
	if err == nil && syntax.Lower(arg) != "yes" && syntax.Lower(arg) != "no" {
		err = errChoice(arg)
	}
	return syntax.Lower(arg) == "yes", err
}

// readWarnWeak reads WarnWeakCrypto: readFlag, and a word for a part of the warnings.
func readWarnWeak(l *line) (bool, error) {
	if len(l.args) > 0 && strings.EqualFold(l.args[0], "no-pq-kex") {
		l.args = l.args[1:]
		return false, nil
	}
	return readFlag(l)
}

// readMode reads a word of the choices. Yes and no are spelled true and false there.
func readMode(l *line, choices []string) (Mode, error) {
	arg, err := l.arg()
	if err != nil {
		return "", err
	}
	word := syntax.Lower(arg)
	switch word {
	case "yes":
		word = "true"
	case "no":
		word = "false"
	}
	if !slices.Contains(choices, word) {
		return "", errChoice(arg)
	}
	switch word {
	case "true":
		return Yes, nil
	case "false", "off":
		return No, nil
	}
	return Mode(word), nil
}

// readTunnel reads Tunnel, where yes stands for point-to-point.
func readTunnel(l *line) (Mode, error) {
	mode, err := readMode(l, []string{"ethernet", "point-to-point", "true", "false"})
	if mode == Yes {
		mode = "point-to-point"
	}
	return mode, err
}

// readInt reads a number within the int of C.
func readInt(l *line) (int, error) {
	arg, err := l.arg()
	if err != nil {
		return 0, err
	}
	return syntax.ParseNumber(arg, 0, math.MaxInt32)
}

// readPort reads a port or the name of a service.
func readPort(l *line) (int, error) {
	arg, err := l.arg()
	if err != nil {
		return 0, err
	}
	port, err := syntax.ParsePort(arg)
	if err == nil && port == 0 {
		err = errors.New("port 0 is none")
	}
	return port, err
}

// readTime reads a time. A time of none leaves the keyword to later lines.
func readTime(l *line) (time.Duration, error) {
	arg, err := l.arg()
	if err != nil {
		return 0, err
	}
	if arg == "none" {
		return 0, errKeep
	}
	return syntax.ParseTime(arg)
}

// readHash reads the name of a hash function.
func readHash(l *line) (string, error) {
	arg, err := l.arg()
	name := strings.ToUpper(arg)
	if err == nil && !slices.Contains([]string{"MD5", "SHA1", "SHA256", "SHA384", "SHA512"}, name) {
		err = errChoice(arg)
	}
	return name, err
}

// readCommand reads the rest of the line as written.
func readCommand(l *line) (string, error) {
	l.args = nil
	return strings.TrimLeft(l.rest, syntax.Blanks+"="), nil
}

// readProxy is readCommand for ProxyCommand. The first of ProxyCommand and ProxyJump wins over the other.
func readProxy(l *line) error {
	command, _ := readCommand(l)
	if l.active && l.claim("proxycommand", l.place()) {
		l.config.ProxyCommand = command
	}
	return nil
}

// readAddendum reads VersionAddendum: the rest of the line up to a comment.
func readAddendum(l *line) (string, error) {
	l.args = nil
	text, _, _ := strings.Cut(l.rest, "#")
	if strings.Contains(l.rest, "\r") {
		return "", errors.New("the text has a carriage return")
	}
	if text = strings.TrimRight(text, " \t\n\v\f\r"); strings.EqualFold(text, "none") {
		text = ""
	}
	return text, nil
}

// readCommas reads a list with commas.
func readCommas(l *line) ([]string, error) {
	arg, err := l.arg()
	return strings.Split(arg, ","), err
}

// logLevels are the values of LogLevel. DEBUG1 is another name of DEBUG.
var logLevels = []string{"QUIET", "FATAL", "ERROR", "INFO", "VERBOSE", "DEBUG", "DEBUG1", "DEBUG2", "DEBUG3"}

// readLogLevel reads LogLevel in any case.
func readLogLevel(l *line) (Mode, error) {
	arg, err := l.arg()
	level := strings.ToUpper(arg)
	if err == nil && !slices.Contains(logLevels, level) {
		err = errChoice(arg)
	}
	if level == "DEBUG1" {
		level = "DEBUG"
	}
	return Mode(level), err
}

// readFacility reads SyslogFacility, also from blocks without a match, as OpenSSH does.
func readFacility(l *line) error {
	arg, err := l.arg()
	if err != nil {
		return err
	}
	facility := strings.ToUpper(arg)
	local := strings.HasPrefix(facility, "LOCAL") && len(facility) == 6 && '0' <= facility[5] && facility[5] <= '7'
	if !local && !slices.Contains([]string{"DAEMON", "USER", "AUTH", "AUTHPRIV"}, facility) {
		return errChoice(arg)
	}
	if l.claim("syslogfacility", l.place()) {
		l.config.SyslogFacility = Mode(facility)
	}
	return nil
}

// readMask reads StreamLocalBindMask, whose last value wins in OpenSSH, from whatever block.
func readMask(l *line) error {
	arg, err := l.arg()
	if err != nil {
		return err
	}
	mask, err := syntax.ParseMask(arg)
	if err != nil {
		return err
	}
	l.config.StreamLocalBindMask = mask
	l.config.origins["streamlocalbindmask"] = []origin{l.place()}
	return nil
}

// readRekey reads RekeyLimit, whose two values are set apart: a later line may add a time.
func readRekey(l *line) error {
	arg, err := l.arg()
	if err != nil {
		return err
	}
	size := int64(0)
	if arg != "default" {
		// 0 is the default, like the word.
		if size, err = syntax.ParseSize(arg); err == nil && size != 0 && size < 16 {
			err = errors.New("limit " + syntax.Quote(arg) + " is too small")
		}
	}
	if err != nil {
		return err
	}
	if l.active && l.claim("rekeylimit", l.place()) {
		l.config.RekeyLimit = size
	}
	if len(l.args) == 0 {
		return nil
	}
	interval, err := readTime(l)
	if err == nil && l.active && l.claim("rekeyinterval", l.place()) {
		l.config.RekeyInterval = interval
	}
	return err
}

// readEscape reads EscapeChar: a character, a control character as ^A, or none.
func readEscape(l *line) (int, error) {
	arg, err := l.arg()
	switch {
	case err != nil:
		return 0, err
	case arg == "none":
		return -1, nil
	case len(arg) == 1:
		return int(arg[0]), nil
	case len(arg) == 2 && arg[0] == '^' && arg[1] >= 64 && arg[1] < 128:
		return int(arg[1] & 31), nil
	}
	return 0, errors.New(syntax.Quote(arg) + " is not a character")
}

// readIPQoS reads IPQoS. A lone value is for both kinds of sessions.
func readIPQoS(l *line) (values [2]int, err error) {
	arg, err := l.arg()
	if err != nil {
		return values, err
	}
	if values[0], err = syntax.ParseQoS(arg); err != nil {
		return values, err
	}
	values[1] = values[0]
	if bulk, ok := l.next(); ok {
		values[1], err = syntax.ParseQoS(bulk)
	}
	return values, err
}

// readTunnelDevice reads TunnelDevice: local[:remote].
func readTunnelDevice(l *line) (devices [2]int, err error) {
	arg, err := l.arg()
	if err != nil {
		return devices, err
	}
	local, remote, ok := strings.Cut(arg, ":")
	if devices[0], err = syntax.ParseTunnel(local); err != nil {
		return devices, err
	}
	devices[1] = -1
	if ok {
		devices[1], err = syntax.ParseTunnel(remote)
	}
	return devices, err
}

// readKeystroke reads ObscureKeystrokeTiming: a flag, or interval:milliseconds.
func readKeystroke(l *line) (time.Duration, error) {
	arg, err := l.arg()
	if err != nil {
		return 0, err
	}
	switch text, ok := strings.CutPrefix(arg, "interval:"); {
	case arg == "yes" || arg == "true":
		return defaultKeystroke, nil
	case arg == "no" || arg == "false":
		return 0, nil
	case ok:
		ms, err := syntax.ParseNumber(text, 1, 1000)
		return time.Duration(ms) * time.Millisecond, err
	}
	return 0, errChoice(arg)
}

// readRefuse reads RefuseConnection: Load fails with the text.
func readRefuse(l *line) error {
	arg, err := l.arg()
	if err == nil && l.active {
		err = errors.New(syntax.Quote(arg))
	}
	return err
}
