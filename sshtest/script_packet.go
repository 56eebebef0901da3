package sshtest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/ssh"
)

// maxClientPacket is what a client's packet_length may be: as much as OpenSSH
// takes.
const maxClientPacket = 256 << 10

// errMalformed is a packet that no honest client sends.
var errMalformed = errors.New("malformed packet")

// A packetKey is one direction of aes128-gcm@openssh.com (OpenSSH PROTOCOL
// section 1.6).
type packetKey struct {
	cipher.AEAD
	nonce []byte
}

// newPacketKey takes as much as it needs of what a hash has made. AES takes any
// key of that length, so nothing can fail.
func newPacketKey(key, iv []byte) *packetKey {
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return &packetKey{aead, iv[:12]}
}

// step counts the packets in the nonce, whose first four bytes stay as they are.
func (k *packetKey) step() {
	binary.BigEndian.PutUint64(k.nonce[4:], binary.BigEndian.Uint64(k.nonce[4:])+1)
}

// Send sends messages, encrypted once there are keys. A []byte is a payload as
// it is; all else goes through [ssh.Marshal].
func (p *Peer) Send(messages ...any) {
	for _, m := range messages {
		p.send(payloadOf(m), nil)
	}
}

// payloadOf is what a message of a script stands for.
func payloadOf(message any) []byte {
	if payload, ok := message.([]byte); ok {
		return payload
	}
	return ssh.Marshal(message)
}

// send sends one message and what the script wants around it; then is called
// right behind the message.
func (p *Peer) send(payload []byte, then func()) {
	var number byte
	if len(payload) > 0 {
		number = payload[0]
	}
	for _, m := range p.before[number] {
		p.put(payloadOf(m))
	}
	if m := p.instead[number]; m != nil {
		p.put(payloadOf(m))
	} else {
		p.put(payload)
	}
	if then != nil {
		then()
	}
	for _, m := range p.after[number] {
		p.put(payloadOf(m))
	}
}

// put sends one packet, behind the noise that the script wants. Noise in a strict
// key exchange, or before KEXINIT, would be a lie of another kind.
func (p *Peer) put(payload []byte) {
	begun := p.kexInit != nil && !bytes.Equal(payload, p.kexInit)
	if p.Noise && (p.sealing != nil || p.Lax && begun) {
		for _, m := range []any{
			IgnoreMsg{[]byte("noise")}, DebugMsg{Message: "noise"}, UnimplementedMsg{p.Received - 1},
		} {
			p.frame = p.seal(p.frame[:0], ssh.Marshal(m))
			p.SendRaw(p.frame)
		}
	}
	p.frame = p.seal(p.frame[:0], payload)
	p.SendRaw(p.frame)
}

// SendRaw sends bytes as they are.
func (p *Peer) SendRaw(b []byte) {
	_, err := p.Conn.Write(b)
	p.check(err)
}

// Seal returns the binary packet (RFC 4253 section 6) that Send would send,
// and counts it: it should be sent, by SendRaw, unless that is the lie.
func (p *Peer) Seal(payload []byte) []byte { return p.seal(nil, payload) }

// SealBody is Seal for a packet with any packet_length, and with a body that
// should be padding_length, payload and padding.
func (p *Peer) SealBody(length uint32, body []byte) []byte {
	return p.protect(append(binary.BigEndian.AppendUint32(nil, length), body...))
}

// seal puts the packet where buf has room. Padding makes it a multiple of the
// block size: with packet_length in clear, without it under AES-GCM, which does
// not encrypt that. It is zeros, for no secret of a script's is worth more.
func (p *Peer) seal(buf, payload []byte) []byte {
	block, counted := 8, 4
	if p.sealing != nil {
		block, counted = aes.BlockSize, 0
	}
	padding := block - (1+len(payload)+counted)%block
	if padding < 4 {
		padding += block
	}
	frame := binary.BigEndian.AppendUint32(buf, uint32(1+len(payload)+padding))
	frame = append(append(frame, byte(padding)), payload...)
	return p.protect(append(frame, make([]byte, padding)...))
}

// protect encrypts a packet in place.
func (p *Peer) protect(frame []byte) []byte {
	p.Sent++
	if p.sealing == nil {
		return frame
	}
	defer p.sealing.step()
	return p.sealing.Seal(frame[:4], p.sealing.nonce, frame[4:], frame[:4])
}

// Receive returns the payload of the client's next packet, which must have one
// of these numbers if there are any. Unless it is asked for by number, it
// returns no DISCONNECT, which ends the script; no KEXINIT, with which the
// client begins another exchange, but answers that and goes on; and no
// authentication request after Login, where a client may have sent several.
func (p *Peer) Receive(numbers ...byte) []byte {
	for {
		payload := p.receive()
		if payload[0] == 30 {
			p.public = payload
		}
		switch {
		case slices.Contains(numbers, payload[0]):
		case payload[0] == 1:
			p.leave(payload)
		case payload[0] == 20:
			p.ClientKexInit = payload
			p.SendKexInit()
			p.FinishKex()
			continue
		case payload[0] == 50 && p.authentication:
			continue
		case len(numbers) > 0:
			p.Fatalf("the client sent message %d instead of %d", payload[0], numbers)
		}
		return payload
	}
}

// Expect receives the client's next message, which must be a whole M.
func Expect[M any](p *Peer) M {
	var m M
	payload := p.Receive()
	if err := ssh.Unmarshal(payload, &m); err != nil {
		p.Fatalf("the client sent message %d instead of %T: %v", payload[0], m, err)
	}
	return m
}

// receive returns any packet.
func (p *Peer) receive() []byte {
	if len(p.early) > 0 {
		payload := p.early[0]
		p.early = p.early[1:]
		return payload
	}
	return p.read()
}

// read returns the next packet of the connection.
func (p *Peer) read() []byte {
	payload, err := p.open()
	if errors.Is(err, errMalformed) {
		p.Fatalf("packet %d of the client: %v", p.Received, err)
	}
	p.check(err)
	return payload
}

// open reads one packet and decrypts it. What no honest client sends is an
// errMalformed, so that it is told from a connection that has failed.
func (p *Peer) open() ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(p.in, head); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head)
	block, counted, tag := uint32(8), uint32(4), 0
	if p.opening != nil {
		block, counted, tag = aes.BlockSize, 0, p.opening.Overhead()
	}
	if n < 8 || n > maxClientPacket || (n+counted)%block != 0 {
		return nil, fmt.Errorf("%w: packet_length %d", errMalformed, n)
	}
	body := make([]byte, int(n)+tag)
	if _, err := io.ReadFull(p.in, body); err != nil {
		return nil, err
	}
	if p.opening != nil {
		var err error
		body, err = p.opening.Open(body[:0], p.opening.nonce, body, head)
		p.opening.step()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errMalformed, err)
		}
	}
	padding := int(body[0])
	if padding < 4 || padding+2 > len(body) {
		return nil, fmt.Errorf("%w: padding_length %d of %d", errMalformed, padding, len(body))
	}
	p.Received++
	return body[1 : len(body)-padding], nil
}

// Drain reads, and answers nothing, until the client hangs up. It returns
// Farewell. Where the two do not have the same keys, nothing is understood.
func (p *Peer) Drain() *DisconnectMsg {
	for {
		payload, err := p.open()
		if errors.Is(err, errMalformed) {
			io.Copy(io.Discard, p.in)
		}
		if err != nil {
			return p.Farewell
		}
		if payload[0] == 1 {
			p.note(payload)
		}
	}
}
