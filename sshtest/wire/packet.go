package wire

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

// maxClientPacket bounds a client's packet_length, as in OpenSSH.
const maxClientPacket = 256 << 10

// errMalformed means a packet that honest clients do not send.
var errMalformed = errors.New("malformed packet")

// A packetKey is the key of one direction, for aes128-gcm@openssh.com (OpenSSH
// PROTOCOL section 1.6).
type packetKey struct {
	cipher.AEAD
	nonce []byte
}

// newPacketKey takes the first bytes of two hashes. AES takes any key of the
// right length, so no step can fail.
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

// step counts a packet in the nonce, whose first four bytes are constant.
func (k *packetKey) step() {
	binary.BigEndian.PutUint64(k.nonce[4:], binary.BigEndian.Uint64(k.nonce[4:])+1)
}

// Send sends messages, encrypted once there are keys. A []byte is a payload;
// other values go through [ssh.Marshal].
func (p *Peer) Send(messages ...any) {
	for _, m := range messages {
		p.send(payloadOf(m), nil)
	}
}

// payloadOf returns the payload of a message of a script.
func payloadOf(message any) []byte {
	if payload, ok := message.([]byte); ok {
		return payload
	}
	return ssh.Marshal(message)
}

// send sends one message, with the messages of Before, Instead and After, and
// calls then right behind the message.
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

// put sends one packet, and noise before the packet if the script wants noise.
// Noise in a strict key exchange, or before KEXINIT, is a lie of another kind,
// so there is none.
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

// SendRaw sends bytes unchanged.
func (p *Peer) SendRaw(b []byte) {
	_, err := p.Conn.Write(b)
	p.check(err)
}

// Seal returns and counts the binary packet (RFC 4253 section 6) that Send
// would send. The script sends the packet by SendRaw, unless the lie is to
// leave the packet out.
func (p *Peer) Seal(payload []byte) []byte { return p.seal(nil, payload) }

// SealBody is Seal for any packet_length, and for any body in place of
// padding_length, payload and padding.
func (p *Peer) SealBody(length uint32, body []byte) []byte {
	return p.protect(append(binary.BigEndian.AppendUint32(nil, length), body...))
}

// seal appends the packet to buf. Padding fills the last block, counted with
// packet_length in clear, and without packet_length under AES-GCM, which does
// not encrypt that field. The padding is zeros, since a script has no secrets.
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

// Receive returns the payload of the client's next packet. The packet must
// have one of the numbers, if there are any. Receive itself handles three
// kinds of packets, unless asked for their numbers: a DISCONNECT ends the
// script; a KEXINIT is answered by a whole exchange; and authentication
// requests after Login, of which a client may send several, are dropped.
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

// Expect receives the client's next message, of type M without bytes left
// over.
func Expect[M any](p *Peer) M {
	var m M
	payload := p.Receive()
	if err := ssh.Unmarshal(payload, &m); err != nil {
		p.Fatalf("the client sent message %d instead of %T: %v", payload[0], m, err)
	}
	return m
}

// receive returns any packet, first those kept.
func (p *Peer) receive() []byte {
	if len(p.kept) > 0 {
		payload := p.kept[0]
		p.kept = p.kept[1:]
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

// open reads and decrypts one packet. An errMalformed stands for a client that
// does not follow the RFC, any other error for a connection that has failed.
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

// Drain reads, and answers nothing, until the client hangs up. Drain returns
// Farewell. Packets under keys that the peer does not have are skipped.
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
