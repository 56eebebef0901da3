package transport_test

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
)

// script says in what the peer departs from an honest server. The zero value
// is honest and strict, with curve25519-sha256, an ed25519 host key and
// aes128-gcm@openssh.com.
type script struct {
	greeting    string                // instead of "SSH-2.0-script\r\n"
	lax         bool                  // no strict key exchange
	key         ssh.Signer            // instead of the ed25519 key of the test run
	algorithm   string                // of the signature; default: what the key signs by itself
	init        func(m *kexInit)      // changes KEXINIT
	beforeInit  [][]byte              // packets sent before KEXINIT
	afterInit   [][]byte              // packets sent after KEXINIT, such as a guess
	answer      func(x []byte) []byte // makes the reply to the client's first message of the method, and ends the exchange there
	reply       func(m *kexReply)     // changes the reply, which is signed already
	beforeReply [][]byte
	afterReply  [][]byte // packets sent before NEWKEYS
	newKeys     []byte   // instead of NEWKEYS
}

type kexInit struct {
	Cookie                        [16]byte `sshtype:"20"`
	Kex, HostKey                  []string
	CipherIn, CipherOut           []string // in is client to server
	MACIn, MACOut                 []string
	CompressionIn, CompressionOut []string
	LanguageIn, LanguageOut       []string
	FirstKexFollows               bool
	Reserved                      uint32
}

type kexReply struct {
	HostKey   []byte `sshtype:"31"`
	Public    []byte
	Signature []byte
}

// hostKey is the key of every scripted server that has no other.
var hostKey = sync.OnceValue(func() ssh.Signer {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	signer, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		panic(err)
	}
	return signer
})

// peer is a server that a test plays by hand, with a key exchange and a packet
// layer of its own. Its methods belong to the goroutine of the script. They
// end it when the connection fails, which is for the client to notice.
type peer struct {
	t       testing.TB
	conn    net.Conn
	in      *bufio.Reader
	script  *script
	client  string // its version
	init    []byte // its latest KEXINIT
	session []byte

	sealing, opening *gcm // nil: in clear
	sent, received   uint32
	exchanges        int
}

// gcm is one direction of aes128-gcm@openssh.com.
type gcm struct {
	cipher.AEAD
	nonce []byte
}

// next counts the nonce and returns the one to use now.
func (g *gcm) next() []byte {
	n := bytes.Clone(g.nonce)
	binary.BigEndian.PutUint64(g.nonce[4:], binary.BigEndian.Uint64(g.nonce[4:])+1)
	return n
}

// play starts a server that follows the script, whose connection is closed
// when run returns, and returns the other end.
func play(t *testing.T, s *script, run func(p *peer)) net.Conn {
	t.Helper()
	client, server := sshtest.Pipe()
	playOver(t, server, s, run)
	t.Cleanup(func() { client.Close() })
	return client
}

func newPeer(t testing.TB, server net.Conn, s *script) *peer {
	return &peer{t: t, conn: server, in: bufio.NewReader(server), script: s}
}

func playOver(t *testing.T, server net.Conn, s *script, run func(p *peer)) {
	p := newPeer(t, server, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer server.Close()
		run(p)
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
}

// client returns a client of a scripted server. Its verifier is a fixed key
// unless the config has one.
func client(t *testing.T, tc transport.Config, s *script, run func(p *peer)) *transport.Conn {
	t.Helper()
	if tc.HostKey == nil {
		tc.HostKey = transport.FixedHostKey(s.signer().PublicKey())
	}
	c := transport.Client(play(t, s, run), &tc)
	t.Cleanup(func() { c.Close() })
	return c
}

// connected returns a client after its handshake. The script goes on behind it.
func connected(t *testing.T, tc transport.Config, s *script, run func(p *peer)) *transport.Conn {
	t.Helper()
	c := client(t, tc, s, func(p *peer) {
		p.handshake()
		run(p)
	})
	require.NoError(t, c.Handshake(t.Context()))
	return c
}

// refused runs a handshake that must fail, checks that the connection has
// ended, and returns the error.
func refused(t *testing.T, tc transport.Config, s *script) error {
	t.Helper()
	c := client(t, tc, s, func(p *peer) {
		p.handshake()
		p.drain()
	})
	err := c.Handshake(t.Context())
	requireEnded(t, c, err)
	return err
}

// requireEnded checks that the first error ended the connection for every call
// and is neither a good end nor lost.
func requireEnded(t *testing.T, c *transport.Conn, first error) {
	t.Helper()
	require.Error(t, first)
	require.NotErrorIs(t, first, io.EOF)
	_, read := c.ReadPacket()
	for _, err := range []error{read, c.WritePacket([]byte{80}), c.RequestService("x"), c.Rekey()} {
		require.ErrorIs(t, err, net.ErrClosed)
		require.NotErrorIs(t, err, io.EOF)
		var protocol *transport.ProtocolError
		if errors.As(first, &protocol) {
			require.ErrorIs(t, err, protocol)
		}
	}
	require.NoError(t, c.Close())
}

func (s *script) signer() ssh.Signer {
	if s.key != nil {
		return s.key
	}
	return hostKey()
}

// check ends the script when the connection has failed.
func (p *peer) check(err error) {
	if err != nil {
		runtime.Goexit()
	}
}

// expected fails the test when the client did not do its part.
func (p *peer) expected(ok bool, format string, args ...any) {
	if !ok {
		p.t.Errorf(format, args...)
		runtime.Goexit()
	}
}

// raw sends bytes as they are.
func (p *peer) raw(b []byte) {
	_, err := p.conn.Write(b)
	p.check(err)
}

// send sends packets, encrypted once keys are there.
func (p *peer) send(payloads ...[]byte) {
	for _, payload := range payloads {
		p.raw(p.seal(payload))
	}
}

// stream sends a packet for ever, without allocating anything for it.
func (p *peer) stream(payload []byte) {
	padding := 32 - (1+len(payload))%16
	body := append(append([]byte{byte(padding)}, payload...), make([]byte, padding)...)
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)+16), uint32(len(body)))
	g := p.sealing
	for {
		p.raw(g.Seal(frame, g.nonce, body, frame[:4:4]))
		binary.BigEndian.PutUint64(g.nonce[4:], binary.BigEndian.Uint64(g.nonce[4:])+1)
	}
}

// seal makes a whole binary packet.
func (p *peer) seal(payload []byte) []byte {
	block, counted := 8, 4
	if p.sealing != nil {
		block, counted = 16, 0
	}
	padding := block - (1+len(payload)+counted)%block
	if padding < 4 {
		padding += block
	}
	return p.sealFrame(append(append([]byte{byte(padding)}, payload...), make([]byte, padding)...))
}

// sealFrame puts a length before what would be padding_length, payload and
// padding, which may as well be something else.
func (p *peer) sealFrame(body []byte) []byte {
	p.sent++
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	if p.sealing == nil {
		return append(frame, body...)
	}
	return p.sealing.Seal(frame, p.sealing.next(), body, frame[:4:4])
}

// receive returns the payload of the client's next packet. A client that says
// goodbye ends the script: whether it was right to is for the test to check.
func (p *peer) receive() []byte {
	payload := p.receiveAny()
	if payload[0] == 1 {
		runtime.Goexit()
	}
	return payload
}

func (p *peer) receiveAny() []byte {
	head := make([]byte, 4)
	_, err := io.ReadFull(p.in, head)
	p.check(err)
	n := binary.BigEndian.Uint32(head)
	p.expected(n >= 8 && n < 300000, "the client sent packet_length %d", n)
	block, tag := uint32(8), 0
	if p.opening != nil {
		block, tag = 16, 16
		p.expected(n%block == 0, "packet_length %d is no multiple", n)
	}
	body := make([]byte, int(n)+tag)
	_, err = io.ReadFull(p.in, body)
	p.check(err)
	if p.opening != nil {
		body, err = p.opening.Open(nil, p.opening.next(), body, head)
		p.expected(err == nil, "the client's packet %d: %v", p.received, err)
	}
	p.received++
	padding := int(body[0])
	p.expected(padding >= 4 && padding+2 <= len(body), "padding_length %d of %d", padding, len(body))
	return body[1 : len(body)-padding]
}

// expect receives a packet with that number.
func (p *peer) expect(number byte) []byte {
	b := p.receive()
	p.expected(b[0] == number, "message %d instead of %d", b[0], number)
	return b
}

// drain reads until the client hangs up.
func (p *peer) drain() {
	_, err := io.Copy(io.Discard, p.in)
	p.check(err)
}

// handshake exchanges versions and the first keys.
func (p *peer) handshake() {
	greeting := p.script.greeting
	if greeting == "" {
		greeting = "SSH-2.0-script\r\n"
	}
	p.raw([]byte(greeting))
	line, err := p.in.ReadString('\n')
	p.check(err)
	p.client = strings.TrimSuffix(line, "\r\n")
	p.exchange()
}

// exchange runs one key exchange, the first one or another, begun by either.
func (p *peer) exchange() {
	p.send(p.script.beforeInit...)
	init := p.makeInit()
	p.send(init)
	p.send(p.script.afterInit...)
	p.answerExchange(init)
}

// answerExchange goes on after our KEXINIT was sent. What the client sent
// before it saw that is skipped.
func (p *peer) answerExchange(init []byte) {
	p.receiveKexInit()
	p.answerKexInit(init)
}

// receiveKexInit receives the client's KEXINIT.
func (p *peer) receiveKexInit() {
	p.init = p.receive()
	for p.init[0] != 20 {
		p.expected(p.exchanges > 0, "message %d before KEXINIT", p.init[0])
		p.init = p.receive()
	}
}

// answerKexInit goes on after both KEXINITs.
func (p *peer) answerKexInit(init []byte) {
	first := p.receive()
	if p.script.answer != nil {
		p.send(p.script.answer(first))
		return
	}
	var m struct {
		Public []byte `sshtype:"30"`
	}
	p.check(ssh.Unmarshal(first, &m))
	p.finish(init, m.Public)
}

func (p *peer) makeInit() []byte {
	s := p.script
	gcm, none := []string{"aes128-gcm@openssh.com"}, []string{"none"}
	m := &kexInit{
		Kex: []string{"curve25519-sha256"}, HostKey: []string{s.signer().PublicKey().Type()},
		CipherIn: gcm, CipherOut: gcm, CompressionIn: none, CompressionOut: none,
	}
	if !s.lax && p.exchanges == 0 {
		m.Kex = append(m.Kex, "kex-strict-s-v00@openssh.com")
	}
	if s.init != nil {
		s.init(m)
	}
	return ssh.Marshal(m)
}

// finish computes secret and hash, and sends the reply and NEWKEYS.
func (p *peer) finish(init, public []byte) {
	s := p.script
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	p.check(err)
	point, err := ecdh.X25519().NewPublicKey(public)
	p.check(err)
	shared, err := key.ECDH(point)
	p.check(err)
	secret := ssh.Marshal(struct{ K *big.Int }{new(big.Int).SetBytes(shared)})
	blob := s.signer().PublicKey().Marshal()
	greeting := s.greeting
	if greeting == "" {
		greeting = "SSH-2.0-script\r\n"
	}
	lines := strings.Split(strings.TrimRight(greeting, "\r\n"), "\n")
	hash := sha256.Sum256(append(ssh.Marshal(struct{ VC, VS, IC, IS, K, QC, QS []byte }{
		[]byte(p.client), []byte(lines[len(lines)-1]), p.init, init, blob, public, key.PublicKey().Bytes(),
	}), secret...))
	if p.session == nil {
		p.session = hash[:]
	}
	reply := &kexReply{HostKey: blob, Public: key.PublicKey().Bytes(), Signature: ssh.Marshal(s.sign(p, hash[:]))}
	if s.reply != nil {
		s.reply(reply)
	}
	p.send(s.beforeReply...)
	p.send(ssh.Marshal(reply))
	p.send(s.afterReply...)
	if s.newKeys == nil {
		p.send([]byte{21})
	} else {
		p.send(s.newKeys)
	}
	derive := func(letter byte) []byte {
		k := sha256.Sum256(append(append(append(bytes.Clone(secret), hash[:]...), letter), p.session...))
		return k[:]
	}
	p.sealing = newGCM(derive('D'), derive('B'))
	if !s.lax {
		p.sent = 0
	}
	p.expect(21)
	p.opening = newGCM(derive('C'), derive('A'))
	if !s.lax {
		p.received = 0
	}
	p.exchanges++
}

func (s *script) sign(p *peer, data []byte) *ssh.Signature {
	var sig *ssh.Signature
	var err error
	if s.algorithm == "" {
		sig, err = s.signer().Sign(rand.Reader, data)
	} else {
		sig, err = s.signer().(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, data, s.algorithm)
	}
	p.check(err)
	return sig
}

func newGCM(key, iv []byte) *gcm {
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return &gcm{AEAD: aead, nonce: iv[:12]}
}
