package userauth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/ssh"
)

// These bounds limit a login.
const (
	maxRequests     = 64
	maxRefusals     = 5       // one less than OpenSSH's default, MaxAuthTries 6
	maxFailureBytes = 8 << 10 // the whole message with its name-list
	maxFailureNames = 256
)

// fail ends the conversation with err, unless an earlier error has, and returns
// the error that has.
func (l *login) fail(err error) error {
	if l.err == nil {
		l.err = err
	}
	return l.err
}

// admit counts requests before they are sent, or returns why none may be sent.
func (l *login) admit(requests int) error {
	switch {
	case l.err != nil:
		return l.err
	case l.granted:
		return errors.New("userauth: the server has already granted access")
	case l.requests+requests > maxRequests:
		return l.fail(fmt.Errorf("userauth: the limit of %d requests is reached", maxRequests))
	}
	l.requests += requests
	return nil
}

// flight sends packets, for which the server owes a number of answers, and
// returns the answers. Fewer come with an error, and after a success, when the
// server ignores the requests that are left (RFC 4252 section 5.1).
func (l *login) flight(answers int, packets ...[]byte) (replies []Reply, err error) {
	l.unanswered = answers
	defer func() {
		if err != nil && l.earlyInVain {
			l.config.Early.Outcome = EarlyBrokeOff
		}
	}()
	if err := l.write(packets); err != nil {
		return nil, l.fail(err)
	}
	for l.unanswered > 0 {
		reply, err := l.read()
		if err != nil {
			l.probesBrokeOff = slices.ContainsFunc(replies, func(r Reply) bool { return r.Status == Message })
			return replies, l.fail(err)
		}
		replies = append(replies, reply)
		l.unanswered--
		if l.granted {
			l.unanswered = 0
		}
	}
	l.earlyInVain = false
	return replies, nil
}

// write sends the packets of a flight, together where the transport can.
func (l *login) write(packets [][]byte) error {
	each := func() error {
		for _, p := range packets {
			if err := l.transport.WritePacket(p); err != nil {
				return err
			}
		}
		return nil
	}
	if l.batcher == nil || len(packets) < 2 {
		return each()
	}
	return l.batcher.Batch(each)
}

// read returns the server's next answer.
func (l *login) read() (Reply, error) {
	for {
		packet, err := l.transport.ReadPacket()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return Reply{}, err
		}
		reply, done, err := l.receive(packet)
		if done || err != nil {
			return reply, err
		}
	}
}

// receive takes a packet from the server. done is false after a banner: the
// answer is still to come.
func (l *login) receive(packet []byte) (reply Reply, done bool, err error) {
	if len(packet) == 0 {
		return Reply{}, false, protocolErrorf("empty message")
	}
	switch number := packet[0]; {
	case number == msgUserAuthBanner:
		text, err := l.banners.take(packet)
		if err == nil && text != "" && l.config.Banner != nil {
			l.config.Banner(text)
		}
		return Reply{}, false, err
	case number == msgUserAuthSuccess:
		if len(packet) != 1 {
			return Reply{}, false, protocolErrorf("success message has %d bytes too many", len(packet)-1)
		}
		l.granted = true
		reply.Status = Success
	case number == msgUserAuthFailure:
		if reply, err = parseFailure(packet); err != nil {
			return Reply{}, false, err
		}
		if reply.Status == Failure {
			l.refusals++
		}
		l.allowed = reply.Allowed
		reply.Allowed = slices.Clone(reply.Allowed)
	case number >= msgMethodFirst && number <= msgMethodLast:
		return Reply{Status: Message, Packet: bytes.Clone(packet)}, true, nil
	default:
		return Reply{}, false, protocolErrorf("message %d during authentication", number)
	}
	l.last, l.answered = reply.Status, true
	return reply, true, nil
}

// parseFailure parses the failure message of RFC 4252 section 5.1. Allowed is
// never nil in the reply.
func parseFailure(packet []byte) (Reply, error) {
	if len(packet) > maxFailureBytes {
		return Reply{}, protocolErrorf("failure message of %d bytes is longer than %d", len(packet), maxFailureBytes)
	}
	var msg userAuthFailureMsg
	if err := ssh.Unmarshal(packet, &msg); err != nil {
		return Reply{}, protocolErrorf("malformed failure message")
	}
	if len(msg.Methods) > maxFailureNames {
		return Reply{}, protocolErrorf("failure message has %d methods, more than %d", len(msg.Methods), maxFailureNames)
	}
	reply := Reply{Status: Failure, Allowed: append([]string{}, msg.Methods...)}
	if msg.PartialSuccess {
		reply.Status = PartialSuccess
	}
	return reply, nil
}

// oneReply returns the only reply of a flight with a single answer.
func oneReply(replies []Reply, err error) (Reply, error) {
	if err != nil {
		return Reply{}, err
	}
	return replies[0], nil
}
