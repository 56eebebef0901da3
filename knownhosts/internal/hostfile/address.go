package hostfile

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address is an address as known_hosts names it.
type Address struct {
	Host string // in lower case, without a port, as in a certificate
	Name string // "[host]:port", or just the host for port 22
}

// ParseAddress takes a "host:port" apart as ssh(1) does: names become lower case,
// and numeric addresses take their canonical form.
func ParseAddress(addr string) (Address, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return Address{}, fmt.Errorf("address %s is not of the form host:port", Quote(addr))
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Address{}, fmt.Errorf("address %s has a port that is not a number up to 65535", Quote(addr))
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.String()
	}
	host = strings.TrimSuffix(Lower(host), ".")
	if host == "" {
		return Address{}, fmt.Errorf("address %s has no host name", Quote(addr))
	}
	if number == 22 {
		return Address{host, host}, nil
	}
	return Address{host, fmt.Sprintf("[%s]:%d", host, number)}, nil
}
