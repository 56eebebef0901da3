package sshconn

import (
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/transport"
)

// metadata is the ssh.ConnMetadata of a connection.
type metadata struct {
	transport *transport.Conn // nil: nothing is known
	user      string
}

func (m *metadata) User() string { return m.user }

func (m *metadata) SessionID() []byte {
	if m.transport == nil {
		return nil
	}
	return m.transport.SessionID()
}

func (m *metadata) ClientVersion() []byte { return []byte(m.state().ClientVersion) }

func (m *metadata) ServerVersion() []byte { return []byte(m.state().ServerVersion) }

// RemoteAddr returns the zero address when none is known, as x/crypto does for
// the ends of tunnels.
func (m *metadata) RemoteAddr() net.Addr {
	if m.transport == nil {
		return new(net.TCPAddr)
	}
	return m.transport.RemoteAddr()
}

func (m *metadata) LocalAddr() net.Addr {
	if m.transport == nil {
		return new(net.TCPAddr)
	}
	return m.transport.LocalAddr()
}

// Algorithms returns the results of the latest key exchange.
func (m *metadata) Algorithms() ssh.NegotiatedAlgorithms {
	s := m.state()
	return ssh.NegotiatedAlgorithms{
		KeyExchange: s.KeyExchange,
		HostKey:     s.HostKeyAlgorithm,
		Read:        ssh.DirectionAlgorithms{Cipher: s.ServerCipher, MAC: s.ServerMAC},
		Write:       ssh.DirectionAlgorithms{Cipher: s.ClientCipher, MAC: s.ClientMAC},
	}
}

func (m *metadata) state() transport.State {
	if m.transport == nil {
		return transport.State{}
	}
	return m.transport.State()
}
