package knownhosts

import (
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts/internal/hostfile"
)

// checkHostIP returns an error if other keys are on record for the address of a
// connection.
func (p *Policy) checkHostIP(addr string, a hostfile.Address, remote net.Addr, key ssh.PublicKey) *KeyError {
	ip, ok := p.hostIP(addr, a, remote, key)
	if !ok {
		return nil
	}
	for _, d := range p.dbs() {
		known := d.find(ip).plain
		if len(known) == 0 {
			continue
		}
		if index(known, key) < 0 {
			return &KeyError{Addr: addr, Name: ip.Name, Key: key, Kind: AddressChanged, Known: known}
		}
		break
	}
	return nil
}

// hostIP returns the names of a connection's IP address in known_hosts. ok is
// false if the address is not to be checked.
func (p *Policy) hostIP(addr string, a hostfile.Address, remote net.Addr, key ssh.PublicKey) (ip hostfile.Address, ok bool) {
	tcp, ok := remote.(*net.TCPAddr)
	if _, certified := key.(*ssh.Certificate); !p.CheckHostIP || !ok || certified || tcp.IP.IsLoopback() {
		return hostfile.Address{}, false
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return hostfile.Address{}, false
	}
	withPort := net.TCPAddr{IP: tcp.IP, Zone: tcp.Zone}
	host, _, err := net.SplitHostPort(withPort.String())
	if err != nil {
		return hostfile.Address{}, false
	}
	ip, err = parseAddr(net.JoinHostPort(host, port))
	return ip, err == nil && ip.Host != a.Host
}
