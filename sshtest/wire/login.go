package wire

import (
	"golang.org/x/crypto/ssh"
)

// Login is Handshake, and then grants the client's first authentication
// request, whatever the request proves. An offer of a key without a signature
// is answered by PK_OK. Login returns the granted request.
func (p *Peer) Login() UserauthRequestMsg {
	p.Handshake()
	p.Send(ServiceAcceptMsg{Expect[ServiceRequestMsg](p).Name})
	for {
		m := Expect[UserauthRequestMsg](p)
		// RFC 4252 section 7: without a signature, the request is a question.
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

// AcceptChannel confirms the channel of the client's next message, with a
// window of 2 MiB and packets of 32 KiB. The peer numbers channels from 0 in
// the order of AcceptChannel; m.Sender is the client's number.
func (p *Peer) AcceptChannel() (m ChannelOpenMsg) {
	m = Expect[ChannelOpenMsg](p)
	p.Send(ChannelOpenConfirmMsg{Recipient: m.Sender, Sender: p.channels, Window: 2 << 20, MaxPacket: 32 << 10})
	p.channels++
	return m
}

// AcceptCommand is AcceptChannel, and grants requests on the channel up to the
// first that starts a command, a shell or a subsystem. AcceptCommand returns
// the client's number of the channel, and the command or the name of the
// subsystem. Other packets are kept for Receive.
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
			var name struct{ Name string }
			if err := ssh.Unmarshal(m.Payload, &name); err != nil {
				p.Fatalf("request %q: %v", m.Name, err)
			}
			command = name.Name
		case "shell":
		default:
			continue
		}
		p.kept = append(kept, p.kept...)
		return id, command
	}
}
