package syntax

import (
	"errors"
	"math"
	"math/big"
	"net"
	"strconv"
	"strings"
	"time"
)

// ParseNumber parses a decimal number as C's strtonum: blanks before and a sign are fine.
func ParseNumber(text string, from, to int64) (int, error) {
	text = strings.TrimLeft(text, " \t\n\v\f\r")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errors.New(Quote(text) + " is not a number")
	}
	if n < from || n > to {
		return 0, errors.New(Quote(text) + " is out of range")
	}
	return int(n), nil
}

// ParsePort parses a port: a number from 0, or the name of a service.
func ParsePort(text string) (int, error) {
	// A number out of range is not the name of a service.
	if port, err := ParseNumber(text, 0, math.MaxUint16); err == nil {
		return port, nil
	}
	if port, err := net.LookupPort("tcp", text); err == nil && strings.Trim(text, "0123456789+- ") != "" {
		return port, nil
	}
	return 0, errors.New(Quote(text) + " is not a port")
}

// units are the letters of times, in seconds.
var units = map[byte]float64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 7 * 86400}

// ParseTime parses a time of the form 1w2d3h4m5s. A number without a letter is seconds. Seconds may have a fraction, cut
// off as OpenSSH does, and may be given once.
func ParseTime(text string) (time.Duration, error) {
	bad := errors.New(Quote(text) + " is not a time")
	total, seconds := 0.0, false
	if text == "" {
		return 0, bad
	}
	for rest := text; rest != ""; {
		// Only digits and dots: strconv knows exponents and names, ssh does not.
		end := 0
		for end < len(rest) && (rest[end] == '.' || '0' <= rest[end] && rest[end] <= '9') {
			end++
		}
		number := rest[:end]
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return 0, bad
		}
		letter := byte('s')
		if rest = rest[end:]; rest != "" {
			letter, rest = rest[0]|0x20, rest[1:]
		}
		unit, ok := units[letter]
		if !ok || letter == 's' && seconds || strings.Contains(number, ".") && (letter != 's' || strings.HasSuffix(number, ".")) {
			return 0, bad
		}
		seconds = seconds || letter == 's'
		total += value * unit
	}
	// OpenSSH keeps seconds in an int.
	if total > math.MaxInt32 {
		return 0, errors.New("time " + Quote(text) + " is too long")
	}
	return time.Duration(total) * time.Second, nil
}

// ParseSize parses a number of bytes with a fraction and a letter for a power of 1024: 1G, 1.5M.
func ParseSize(text string) (int64, error) {
	bad := errors.New(Quote(text) + " is not a size")
	number := strings.TrimLeft(text, " \t\n\v\f\r")
	negative := strings.HasPrefix(number, "-")
	number = strings.TrimLeft(strings.TrimPrefix(number, "-"), "")
	if !negative {
		number = strings.TrimPrefix(number, "+")
	}
	end := strings.IndexFunc(number, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	shift := uint(0)
	if end >= 0 {
		power := strings.IndexByte("BKMGTPE", number[end]&^0x20)
		if power < 0 || end+1 < len(number) && isAlphanumeric(number[end+1]) {
			return 0, bad
		}
		shift, number = uint(power)*10, number[:end]
	}
	whole, fraction, _ := strings.Cut(number, ".")
	if strings.Contains(fraction, ".") || len(whole) > 20 || len(fraction) > 20 {
		return 0, bad
	}
	// Big numbers keep the fraction exact; the length is bounded above.
	value, ok := new(big.Int).SetString("0"+whole+fraction, 10)
	if !ok {
		return 0, bad
	}
	value.Lsh(value, shift)
	value.Quo(value, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(len(fraction))), nil))
	if !value.IsInt64() {
		return 0, errors.New("size " + Quote(text) + " is too large")
	}
	if negative {
		return -value.Int64(), nil
	}
	return value.Int64(), nil
}

// isAlphanumeric reports whether c is a letter or a digit of ASCII.
func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// ParseDomain checks a domain name, and cuts off a dot at its end.
func ParseDomain(name string) (string, error) {
	if name == "" {
		return "", errors.New("the domain name is empty")
	}
	if !isAlphanumeric(name[0]) && name[0] != '_' {
		return "", errors.New("domain name " + Quote(name) + " begins with a wrong character")
	}
	for i := range len(name) {
		if c := name[i]; !isAlphanumeric(c) && c != '.' && c != '-' && c != '_' || c == '.' && i > 0 && name[i-1] == '.' {
			return "", errors.New("domain name " + Quote(name) + " has a wrong character")
		}
	}
	return strings.TrimSuffix(name, "."), nil
}

// IsVariable reports whether name is a name that IdentityAgent may give as $NAME.
func IsVariable(name string) bool {
	for i := range len(name) {
		if !isAlphanumeric(name[i]) && name[i] != '_' {
			return false
		}
	}
	return name != ""
}

// qosNames are the names of IPQoS values.
var qosNames = map[string]int{
	"none": -1, "af11": 0x28, "af12": 0x30, "af13": 0x38, "af21": 0x48, "af22": 0x50, "af23": 0x58, "af31": 0x68,
	"af32": 0x70, "af33": 0x78, "af41": 0x88, "af42": 0x90, "af43": 0x98, "cs0": 0x00, "cs1": 0x20, "cs2": 0x40,
	"cs3": 0x60, "cs4": 0x80, "cs5": 0xa0, "cs6": 0xc0, "cs7": 0xe0, "ef": 0xb8, "le": 0x04, "va": 0xb0,
	// Obsolete types of service stand for the system's value.
	"lowdelay": -1, "throughput": -1, "reliability": -1,
}

// ParseQoS parses a value of IPQoS: a name, or a number of a byte. -1 stands for none.
func ParseQoS(text string) (int, error) {
	if value, ok := qosNames[Lower(text)]; ok {
		return value, nil
	}
	return ParseNumber(text, 0, math.MaxUint8)
}

// ShowQoS shows a value of IPQoS by name, or in hexadecimal.
func ShowQoS(value int) string {
	if value < 0 {
		return "none"
	}
	for name, v := range qosNames {
		if v == value {
			return name
		}
	}
	return "0x" + strconv.FormatInt(int64(value)+0x100, 16)[1:]
}

// ParseTunnel parses one end of a TunnelDevice.
func ParseTunnel(text string) (int, error) {
	if strings.EqualFold(text, "any") {
		return -1, nil
	}
	return ParseNumber(text, 0, math.MaxInt32-2)
}

// ShowTunnel shows one end of a TunnelDevice.
func ShowTunnel(device int) string {
	if device < 0 {
		return "any"
	}
	return strconv.Itoa(device)
}

// ParseMask parses an octal mode of a file. As for C's strtol, characters behind the number do not matter.
func ParseMask(text string) (uint32, error) {
	digits := strings.TrimLeft(strings.TrimLeft(text, " \t\n\v\f\r"), "+")
	if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '7' }); end >= 0 {
		digits = digits[:end]
	}
	mask, err := strconv.ParseUint(digits, 8, 32)
	if err != nil || mask > 0o777 {
		return 0, errors.New(Quote(text) + " is not a mask")
	}
	return uint32(mask), nil
}

// ShowChar shows a character as C's vis does.
func ShowChar(char byte) string {
	switch {
	case char < ' ' || char == 0x7f:
		return `\^` + string(rune(char^0x40))
	case char == ' ':
		return `\040`
	case char == '\\':
		return `\\`
	case char >= 0x80:
		return `\M` + strings.TrimPrefix("-"+ShowChar(char&0x7f), `-\`)
	}
	return string(rune(char))
}

// ParseCNAME parses source:target, or * for all sources and targets.
func ParseCNAME(text string) (source, target string, err error) {
	source, target, ok := strings.Cut(Lower(text), ":")
	if text == "*" {
		return text, text, nil
	}
	if !ok || target == "" {
		return "", "", errors.New(Quote(text) + " is not of the form source:target")
	}
	return source, target, nil
}

// ParseTimeout parses type=time.
func ParseTimeout(text string) (kind string, timeout time.Duration, err error) {
	kind, after, ok := strings.Cut(text, "=")
	if !ok || kind == "" {
		return "", 0, errors.New(Quote(text) + " is not of the form type=time")
	}
	timeout, err = ParseTime(after)
	return kind, timeout, err
}

// CheckTarget checks a target host:port, where the port may be *.
func CheckTarget(text string) error {
	_, port, delimiter, err := CutHost(text)
	if err != nil || delimiter != ':' {
		return errors.New(Quote(text) + " is not of the form host:port")
	}
	if n, err := ParsePort(port); port != "*" && (err != nil || n == 0) {
		return errors.New(Quote(text) + " has no port")
	}
	return nil
}
