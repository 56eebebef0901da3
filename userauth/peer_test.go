package userauth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth"
)

func TestMain(m *testing.M) { sshtest.Main(m) }

var errBroken = errors.New("connection reset")

// peer is a Transport with a scripted server behind it.
type peer struct {
	answer     func(packet []byte) [][]byte // the server's answer to each packet of the client's
	extensions map[string][]byte
	hang       bool  // when the server has nothing to say: block until Close rather than end
	writeErr   error // returned by WritePacket
	end        error // returned by ReadPacket when the server has nothing to say
	session    []byte

	mu      sync.Mutex
	wake    *sync.Cond
	closed  bool
	queue   [][]byte
	events  []string // "service", "write" and "read" in order
	written [][]byte
	handed  []byte // what ReadPacket returned last, spoilt by the next call
}

func newPeer(answer func(packet []byte) [][]byte) *peer {
	p := &peer{
		answer: answer, extensions: map[string][]byte{}, end: errBroken,
		session: []byte("the session identifier"),
	}
	p.wake = sync.NewCond(&p.mu)
	return p
}

// verdicts returns a server that answers the nth packet with the nth verdict.
func verdicts(answers ...[]byte) *peer {
	return newPeer(func([]byte) [][]byte {
		if len(answers) == 0 {
			return nil
		}
		next := answers[0]
		answers = answers[1:]
		return [][]byte{next}
	})
}

// script returns a server that gives the nth list of answers to the nth request
// or message of authentication, and none to anything else.
func script(answers ...[][]byte) *peer {
	return newPeer(func(packet []byte) [][]byte {
		if packet[0] >= 80 || len(answers) == 0 {
			return nil
		}
		next := answers[0]
		answers = answers[1:]
		return next
	})
}

// flights is a peer that takes several packets at once, and counts them.
type flights struct {
	*peer
	sizes []int
}

func (f *flights) WritePacket(packet []byte) error { return f.WritePackets(packet) }

func (f *flights) WritePackets(packets ...[]byte) error {
	f.sizes = append(f.sizes, len(packets))
	for _, p := range packets {
		if err := f.peer.WritePacket(p); err != nil {
			return err
		}
	}
	return nil
}

func (p *peer) RequestService(name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, "service "+name)
	return nil
}

func (p *peer) WritePacket(packet []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, "write")
	if p.writeErr != nil {
		return p.writeErr
	}
	packet = append([]byte{}, packet...)
	p.written = append(p.written, packet)
	for _, answer := range p.answer(packet) {
		p.queue = append(p.queue, append([]byte{}, answer...))
	}
	return nil
}

func (p *peer) ReadPacket() ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, "read")
	for i := range p.handed {
		p.handed[i] = 0xee
	}
	for len(p.queue) == 0 && p.hang && !p.closed {
		p.wake.Wait()
	}
	if p.closed || len(p.queue) == 0 {
		return nil, p.end
	}
	p.handed = p.queue[0]
	p.queue = p.queue[1:]
	return p.handed, nil
}

func (p *peer) SessionID() []byte { return p.session }

func (p *peer) Extension(name string) ([]byte, bool) {
	value, ok := p.extensions[name]
	return value, ok
}

func (p *peer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.wake.Broadcast()
	return nil
}

// request is an authentication request as the server parses it.
type request struct {
	User    string `sshtype:"50"`
	Service string
	Method  string
	Payload []byte `ssh:"rest"`
}

// keyRequest is the payload of a publickey request.
type keyRequest struct {
	Signed    bool
	Algorithm string
	Key       []byte
	Rest      []byte `ssh:"rest"`
}

// requests returns the requests that the client has made.
func (p *peer) requests(t testing.TB) []request {
	var all []request
	for _, packet := range p.written {
		if packet[0] == 50 {
			var r request
			require.NoError(t, ssh.Unmarshal(packet, &r))
			all = append(all, r)
		}
	}
	return all
}

// methods returns the names of the methods requested, in order.
func (p *peer) methods(t testing.TB) []string {
	var names []string
	for _, r := range p.requests(t) {
		names = append(names, r.Method)
	}
	return names
}

// keyRequests returns the publickey requests in short: "query" or "sign" and
// the algorithm.
func (p *peer) keyRequests(t testing.TB) []string {
	var all []string
	for _, r := range p.requests(t) {
		var k keyRequest
		require.NoError(t, ssh.Unmarshal(r.Payload, &k))
		verb := "query "
		if k.Signed {
			verb = "sign "
		}
		all = append(all, verb+k.Algorithm)
	}
	return all
}

// What servers say.

var success = []byte{52}

func failure(methods ...string) []byte { return verdict(false, methods) }
func partial(methods ...string) []byte { return verdict(true, methods) }

func verdict(partial bool, methods []string) []byte {
	return ssh.Marshal(struct {
		Methods []string `sshtype:"51"`
		Partial bool
	}{methods, partial})
}

func banner(text string) []byte {
	return ssh.Marshal(struct {
		Text, Language string `sshtype:"53"`
	}{text, "en"})
}

func keyOK(algorithm string, key []byte) []byte {
	return ssh.Marshal(struct {
		Algorithm string `sshtype:"60"`
		Key       []byte
	}{algorithm, key})
}

// infoRequest is a challenge of keyboard-interactive; a prompt that ends in "!"
// is one whose answer may be echoed.
func infoRequest(name, instruction string, prompts ...string) []byte {
	packet := ssh.Marshal(struct {
		Name, Instruction, Language string `sshtype:"60"`
		N                           uint32
	}{name, instruction, "", uint32(len(prompts))})
	for _, text := range prompts {
		packet = append(packet, ssh.Marshal(struct {
			Text string
			Echo bool
		}{text, strings.HasSuffix(text, "!")})...)
	}
	return packet
}

// keyServer accepts exactly the keys given, however they are offered, and
// checks signatures as RFC 4252 section 7 has it.
func keyServer(t testing.TB, keys ...ssh.PublicKey) *peer {
	return newPeer(func(packet []byte) [][]byte {
		var r request
		require.NoError(t, ssh.Unmarshal(packet, &r))
		var k keyRequest
		require.NoError(t, ssh.Unmarshal(r.Payload, &k))
		for _, key := range keys {
			if string(key.Marshal()) != string(k.Key) {
				continue
			}
			if !k.Signed {
				return [][]byte{keyOK(k.Algorithm, k.Key)}
			}
			requireSignature(t, packet, key)
			return [][]byte{success}
		}
		return [][]byte{failure("publickey", "password")}
	})
}

// requireSignature builds the signed data byte by byte and verifies what the
// packet carries against it.
func requireSignature(t testing.TB, packet []byte, key ssh.PublicKey) {
	t.Helper()
	var r request
	require.NoError(t, ssh.Unmarshal(packet, &r))
	var k keyRequest
	require.NoError(t, ssh.Unmarshal(r.Payload, &k))
	var s struct{ Signature []byte }
	require.NoError(t, ssh.Unmarshal(k.Rest, &s))
	var signature ssh.Signature
	require.NoError(t, ssh.Unmarshal(s.Signature, &signature))

	var data []byte
	put := func(b string) {
		data = append(data, 0, 0, byte(len(b)>>8), byte(len(b)))
		data = append(data, b...)
	}
	put("the session identifier")
	data = append(data, 50)
	put(r.User)
	put(r.Service)
	put("publickey")
	data = append(data, 1)
	put(k.Algorithm)
	put(string(k.Key))
	require.NoError(t, key.Verify(data, &signature))
}

// Keys.

var newRSAKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func ed25519Signer(t testing.TB) ssh.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	return signer
}

func ecdsaSigner(t testing.TB) ssh.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	return signer
}

func rsaSigner(t testing.TB) ssh.AlgorithmSigner {
	signer, err := ssh.NewSignerFromKey(newRSAKey())
	require.NoError(t, err)
	return signer.(ssh.AlgorithmSigner)
}

// certSigner returns signer with a certificate for its key.
func certSigner(t testing.TB, signer ssh.Signer) ssh.Signer {
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity}
	require.NoError(t, cert.SignCert(rand.Reader, ed25519Signer(t)))
	s, err := ssh.NewCertSigner(cert, signer)
	require.NoError(t, err)
	return s
}

// fakeSigner has a key and signs as it is told to.
type fakeSigner struct {
	key  ssh.PublicKey
	sign func(data []byte, algorithm string) (*ssh.Signature, error)
}

func (s fakeSigner) PublicKey() ssh.PublicKey { return s.key }

func (s fakeSigner) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	return s.sign(data, s.key.Type())
}

func (s fakeSigner) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	return s.sign(data, algorithm)
}

// plainSigner hides all of a signer but ssh.Signer.
type plainSigner struct{ ssh.Signer }

// authenticate runs the methods against p for the user bob.
func authenticate(t testing.TB, p *peer, methods ...userauth.Method) error {
	return userauth.Authenticate(t.Context(), p, &userauth.Config{User: "bob", Methods: methods})
}

// requireError asserts that err is a login's error and returns it.
func requireError(t testing.TB, err error) *userauth.Error {
	t.Helper()
	var e *userauth.Error
	require.ErrorAs(t, err, &e)
	require.NotContains(t, err.Error(), "\n")
	return e
}

// results returns the attempts in short.
func results(e *userauth.Error) []string {
	var all []string
	for _, a := range e.Tried {
		a.Key, a.Prompt = nil, ""
		all = append(all, a.String())
	}
	return all
}
