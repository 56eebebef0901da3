package userauth_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest/wire"
	"github.com/nacre-ssh/nacre/userauth"
)

// converse runs f as the only method against p.
func converse(t *testing.T, p userauth.Transport, config userauth.Config, f func(x *userauth.Exchange) (userauth.Reply, error)) error {
	config.User = "bob"
	config.Methods = []userauth.Method{scripted(func(_ context.Context, x *userauth.Exchange) (userauth.Reply, error) { return f(x) })}
	return userauth.Authenticate(t.Context(), p, &config)
}

// permutations yields the orders of three names.
func permutations(names []string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for i := range names {
			for j := range names {
				if i != j && !yield([]string{names[i], names[j], names[3-i-j]}) {
					return
				}
			}
		}
	}
}

// requestMethod returns the method of a request.
func requestMethod(t testing.TB, packet []byte) string {
	var r request
	require.NoError(t, ssh.Unmarshal(packet, &r))
	return r.Method
}

// framed joins packets, each behind a length of two bytes.
func framed(packets ...[]byte) (script []byte) {
	for _, packet := range packets {
		script = append(script, byte(len(packet)>>8), byte(len(packet)))
		script = append(script, packet...)
	}
	return script
}

// unframed cuts a script into packets.
func unframed(script []byte) (packets [][]byte) {
	for len(script) > 2 {
		n := min(int(script[0])<<8|int(script[1]), len(script)-2)
		packets = append(packets, script[2:2+n])
		script = script[2+n:]
	}
	return packets
}

// seededSigner returns the same key in every run, for a fuzz corpus.
func seededSigner(tb testing.TB, seed byte) ssh.Signer {
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
	require.NoError(tb, err)
	return signer
}

var errBroken = errors.New("connection reset")

// peer is a Transport with a scripted server behind it.
type peer struct {
	answer     func(packet []byte) [][]byte // the server's answer to each packet of the client's
	extensions map[string][]byte
	hang       bool  // without an answer, ReadPacket blocks until Close
	writeErr   error // returned by WritePacket
	end        error // returned by ReadPacket without an answer
	session    []byte

	mu      sync.Mutex
	wake    *sync.Cond
	closed  bool
	queue   [][]byte
	events  []string // "service", "write" and "read" in order
	written [][]byte
	handed  []byte // the last packet, overwritten by the next ReadPacket
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
// or message of authentication.
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

// flights is a peer that is a Batcher, and records the size of each flight.
type flights struct {
	*peer
	sizes    []int
	batching bool
}

func (f *flights) Batch(write func() error) error {
	f.sizes = append(f.sizes, 0)
	f.batching = true
	defer func() { f.batching = false }()
	return write()
}

func (f *flights) WritePacket(packet []byte) error {
	if !f.batching {
		f.sizes = append(f.sizes, 0)
	}
	f.sizes[len(f.sizes)-1]++
	return f.peer.WritePacket(packet)
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
type request = wire.UserauthRequestMsg

// keyRequest is the payload of a publickey request.
type keyRequest struct {
	Signed    bool
	Algorithm string
	Key       []byte
	Rest      []byte `ssh:"rest"`
}

// requests returns the client's requests.
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

// Messages of servers.

var success = []byte{52}

func failure(methods ...string) []byte { return verdict(false, methods) }

func partial(methods ...string) []byte { return verdict(true, methods) }

func verdict(partial bool, methods []string) []byte {
	return ssh.Marshal(wire.UserauthFailureMsg{Methods: methods, PartialSuccess: partial})
}

func banner(text string) []byte {
	return ssh.Marshal(wire.UserauthBannerMsg{Message: text, Language: "en"})
}

func keyOK(algorithm string, key []byte) []byte {
	return ssh.Marshal(wire.UserauthPKOKMsg{Algorithm: algorithm, Key: key})
}

// infoRequest is a challenge of keyboard-interactive. A prompt with a "!" at the
// end allows echo.
func infoRequest(name, instruction string, prompts ...string) []byte {
	packet := ssh.Marshal(wire.UserauthInfoRequestMsg{Name: name, Instruction: instruction, Count: uint32(len(prompts))})
	for _, text := range prompts {
		packet = append(packet, ssh.Marshal(struct {
			Text string
			Echo bool
		}{text, strings.HasSuffix(text, "!")})...)
	}
	return packet
}

// keyServer accepts only the keys given, and checks signatures by RFC 4252 section
// 7.
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

// requireSignature builds the signed data byte by byte and verifies the packet's
// signature.
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

// fakeSigner has a key, and signs by a func.
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

// token is a method from outside the package: a ticket in clear.
type token string

func (token) Name() string { return "token@example.com" }

func (m token) Try(_ context.Context, x *userauth.Exchange) (userauth.Reply, error) {
	if m == "" {
		return userauth.Reply{}, fmt.Errorf("%w: no ticket", userauth.ErrSkip)
	}
	return x.Request([]byte(m))
}

// other is the method that the server wants after a partial success.
type other struct{}

func (other) Name() string { return "other@example.com" }

func (other) Try(_ context.Context, x *userauth.Exchange) (userauth.Reply, error) {
	return x.Request(nil)
}

// named is a method with any name.
type named string

func (n named) Name() string { return string(n) }

func (n named) Try(_ context.Context, x *userauth.Exchange) (userauth.Reply, error) {
	return x.Request(nil)
}

// scripted is a method made of a func.
type scripted func(ctx context.Context, x *userauth.Exchange) (userauth.Reply, error)

func (scripted) Name() string { return "scripted@example.com" }

func (m scripted) Try(ctx context.Context, x *userauth.Exchange) (userauth.Reply, error) {
	return m(ctx, x)
}
