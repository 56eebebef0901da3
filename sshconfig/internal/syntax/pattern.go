package syntax

import (
	"errors"
	"net/netip"
	"strings"
)

// MatchPattern reports whether text matches a pattern with the wildcards * and ?. The time is bounded by the product of
// the lengths.
func MatchPattern(text, pattern string) bool {
	t, p := 0, 0
	star, retry := -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			t, p = t+1, p+1
		// The last star takes a character more; earlier stars need no second try.
		case star >= 0:
			retry++
			t, p = retry, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// maxSubpattern is OpenSSH's bound for a pattern of a list. A longer pattern matches nothing, and ends the list.
const maxSubpattern = 1023

// MatchList matches text against a list of patterns with commas. The result is 1 for a match, -1 for a match of a
// negated pattern, which takes precedence, and 0 for neither.
func MatchList(text, list string) int {
	result := 0
	for list != "" {
		pattern, rest, _ := strings.Cut(list, ",")
		list = rest
		pattern, negated := strings.CutPrefix(pattern, "!")
		if len(pattern) >= maxSubpattern {
			return 0
		}
		if !MatchPattern(text, pattern) {
			continue
		}
		if negated {
			return -1
		}
		result = 1
	}
	return result
}

// MatchHost is matchList without a difference between upper and lower case.
func MatchHost(host, list string) bool { return MatchList(Lower(host), Lower(list)) == 1 }

// Lower changes the letters A to Z and no other byte, as C's tolower does in ssh.
func Lower(text string) string {
	b := []byte(text)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// ParseNetworks parses a list of networks in CIDR form.
func ParseNetworks(list string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for entry := range strings.SplitSeq(list, ",") {
		network, err := netip.ParsePrefix(entry)
		if err != nil {
			addr, addrErr := netip.ParseAddr(entry)
			if addrErr != nil || addr.Zone() != "" {
				return nil, errors.New("network " + Quote(entry) + " is not of the form address/bits")
			}
			network = netip.PrefixFrom(addr, addr.BitLen())
		}
		if network != network.Masked() {
			return nil, errors.New("network " + Quote(entry) + " has bits behind the mask")
		}
		networks = append(networks, network)
	}
	return networks, nil
}
