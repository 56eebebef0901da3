package syntax

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// ParseAddress returns the usual form of a numeric address. ok is true with an empty form for a name that looks like an
// address, and is no address of the family.
func ParseAddress(name string, family string) (canonical string, ok bool) {
	looksLike := strings.ContainsAny(name, ":%") || strings.Trim(name, "0123456789.") == ""
	addr, err := netip.ParseAddr(name)
	if err != nil {
		addr, err = parseOldIPv4(name)
	}
	if err != nil || family == "inet" && !addr.Is4() || family == "inet6" && addr.Is4() {
		return "", looksLike
	}
	return addr.String(), true
}

// parseOldIPv4 parses the forms of IPv4 addresses that C's inet_aton knows: octal and hexadecimal numbers, and fewer than
// four of them, the last for all bytes that are left.
func parseOldIPv4(name string) (netip.Addr, error) {
	bad := errors.New("no address")
	parts := strings.Split(name, ".")
	if len(parts) > 4 {
		return netip.Addr{}, bad
	}
	var value uint64
	for i, part := range parts {
		part = Lower(part)
		if part == "" || part[0] < '0' || part[0] > '9' || strings.HasPrefix(part, "0b") || strings.ContainsAny(part, "_o") {
			return netip.Addr{}, bad // Go's own forms of numbers
		}
		// The prefix of a part says its base, as in C.
		n, err := strconv.ParseUint(part, 0, 32)
		last := i == len(parts)-1
		if err != nil || !last && n > 255 || last && n >= 1<<(8*(4-i)) {
			return netip.Addr{}, bad
		}
		if last {
			value |= n
		} else {
			value |= n << (8 * (3 - i))
		}
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), nil
}
