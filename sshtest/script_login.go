package sshtest

import (
	"golang.org/x/crypto/ssh"
)

// Login is Handshake, and then lets the client in whatever it shows; a key
// that is only offered is answered as one that would do. It returns the
// request that was granted.
func (p *Peer) Login() UserauthRequestMsg {
	p.Handshake()
	p.Send(ServiceAcceptMsg{Expect[ServiceRequestMsg](p).Name})
	for {
		m := Expect[UserauthRequestMsg](p)
		// RFC 4252 section 7: without a signature it is a question.
		var offer struct {
			Signed    bool
			Algorithm string
			Key       []byte
		}
		if m.Method == "publickey" && ssh.Unmarshal(m.Payload, &offer) == nil && !offer.Signed {
			p.Send(UserauthPKOKMsg{offer.Algorithm, offer.Key})
			continue
		}
		p.authentication = true
		p.Send(UserauthSuccessMsg{})
		return m
	}
}

// AcceptChannel confirms the channel that the client's next message must open,
// with a window of 2 MiB and packets of 32 KiB. The n-th one, from 0, has
// number n on the peer's side, and m.Sender on the client's.
func (p *Peer) AcceptChannel() (m ChannelOpenMsg) {
	m = Expect[ChannelOpenMsg](p)
	p.Send(ChannelOpenConfirmMsg{Recipient: m.Sender, Sender: p.channels, Window: 2 << 20, MaxPacket: 32 << 10})
	p.channels++
	return m
}

// AcceptCommand is AcceptChannel, and grants requests on that channel up to
// one that starts a command, a shell or a subsystem. It returns the client's
// number of the channel, and the command or the subsystem's name. What else
// comes meanwhile is kept for Receive.
func (p *Peer) AcceptCommand() (id uint32, command string) {
	ours := p.channels
	id = p.AcceptChannel().Sender
	var kept [][]byte
	for {
		payload := p.Receive()
		var m ChannelRequestMsg
		if ssh.Unmarshal(payload, &m) != nil || m.Recipient != ours {
			kept = append(kept, payload)
			continue
		}
		if m.WantReply {
			p.Send(ChannelSuccessMsg{id})
		}
		switch m.Name {
		case "exec", "subsystem":
			var name nameMsg
			if err := ssh.Unmarshal(m.Payload, &name); err != nil {
				p.Fatalf("request %q: %v", m.Name, err)
			}
			command = name.Name
		case "shell":
		default:
			continue
		}
		p.early = append(kept, p.early...)
		return id, command
	}
}
