package wire

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

const defaultVersion = "SSH-2.0-sshtest"

// Handshake exchanges versions and the first keys, by SendVersion,
// ReceiveVersion and Exchange.
func (p *Peer) Handshake() {
	p.SendVersion()
	p.ReceiveVersion()
	p.Exchange()
}

// greeting is the text before the first packet.
func (p *Peer) greeting() string {
	if strings.Contains(p.Version, "\n") {
		return p.Version
	}
	return p.Version + "\r\n"
}

// SendVersion sends the identification string (RFC 4253 section 4.2).
func (p *Peer) SendVersion() { p.SendRaw([]byte(p.greeting())) }

// ReceiveVersion receives the client's identification string.
func (p *Peer) ReceiveVersion() {
	line, err := p.in.ReadString('\n')
	p.check(err)
	p.ClientVersion = strings.TrimRight(line, "\r\n")
}

// Exchange does a key exchange, the first or a later one, whoever begins. The
// steps are SendKexInit, ReceiveKexInit and FinishKex.
func (p *Peer) Exchange() {
	p.SendKexInit()
	p.ReceiveKexInit()
	p.FinishKex()
}

// SendKexInit sends a new KEXINIT. The lists have a single algorithm each, so
// that a script knows the outcome. The name for strict key exchange is in the
// first KEXINIT only, where the name has a meaning.
func (p *Peer) SendKexInit() {
	gcm, none := []string{"aes128-gcm@openssh.com"}, []string{"none"}
	m := &KexInitMsg{
		Kex: []string{"curve25519-sha256"}, HostKey: p.hostKeyAlgorithms(),
		CipherIn: gcm, CipherOut: gcm, CompressionIn: none, CompressionOut: none,
	}
	rand.Read(m.Cookie[:])
	if !p.Lax && p.Exchanges == 0 {
		m.Kex = append(m.Kex, "kex-strict-s-v00@openssh.com")
	}
	if p.KexInit != nil {
		p.KexInit(m)
	}
	p.kexInit = ssh.Marshal(m)
	p.send(p.kexInit, nil)
}

// hostKeyAlgorithms is the list of the signature algorithm of sign.
func (p *Peer) hostKeyAlgorithms() []string {
	if p.SignatureAlgorithm != "" {
		return []string{p.SignatureAlgorithm}
	}
	return []string{p.HostKey.PublicKey().Type()}
}

// ReceiveKexInit receives the client's KEXINIT. After the first exchange,
// packets before the KEXINIT are kept for Receive.
func (p *Peer) ReceiveKexInit() {
	for {
		payload := p.read()
		switch {
		case payload[0] == 20:
			p.ClientKexInit = payload
			return
		case payload[0] == 1:
			p.leave(payload)
		case p.Exchanges == 0:
			p.Fatalf("the client sent message %d before KEXINIT", payload[0])
		}
		p.kept = append(p.kept, payload)
	}
}

// FinishKex answers the client's public key after both KEXINITs, and changes
// to the new keys in both directions. FinishKex receives the public key,
// unless Receive has done so.
func (p *Peer) FinishKex() {
	var m KexECDHInitMsg
	payload := p.public
	if p.public = nil; payload == nil {
		payload = p.read()
	}
	if payload[0] == 1 {
		p.leave(payload)
	}
	if err := ssh.Unmarshal(payload, &m); err != nil {
		p.Fatalf("message %d for the client's public key: %v", payload[0], err)
	}
	public, err := ecdh.X25519().NewPublicKey(m.Public)
	if err != nil {
		p.Fatalf("the client's public key: %v; does the client offer curve25519-sha256?", err)
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	p.check(err)
	shared, err := key.ECDH(public)
	if err != nil {
		p.Fatalf("the client's public key: %v", err)
	}
	// RFC 8731 section 3.1: the secret is hashed as a number.
	secret := ssh.Marshal(struct{ K *big.Int }{new(big.Int).SetBytes(shared)})
	hash := p.exchangeHash(m.Public, key.PublicKey().Bytes(), secret)
	if p.SessionID == nil {
		p.SessionID = hash
		p.strict = !p.Lax && p.clientIsStrict()
	}
	// A lie in the reply changes nothing for the peer, who goes on with the true keys.
	reply := &KexECDHReplyMsg{p.HostKey.PublicKey().Marshal(), key.PublicKey().Bytes(), p.sign(hash)}
	if p.KexReply != nil {
		p.KexReply(reply)
	}
	p.Send(reply)
	p.takeKeys(secret, hash)
}

// clientIsStrict reports whether the client's first KEXINIT asks for strict key
// exchange.
func (p *Peer) clientIsStrict() bool {
	var m KexInitMsg
	return ssh.Unmarshal(p.ClientKexInit, &m) == nil && slices.Contains(m.Kex, "kex-strict-c-v00@openssh.com")
}

// exchangeHash is H of RFC 5656 section 4. In a greeting of several lines, the
// last line is the version.
func (p *Peer) exchangeHash(theirs, ours, secret []byte) []byte {
	lines := strings.Split(strings.TrimRight(p.greeting(), "\r\n"), "\n")
	hash := sha256.Sum256(append(ssh.Marshal(struct{ VC, VS, IC, IS, K, QC, QS []byte }{
		[]byte(p.ClientVersion), []byte(lines[len(lines)-1]), p.ClientKexInit, p.kexInit,
		p.HostKey.PublicKey().Marshal(), theirs, ours,
	}), secret...))
	return hash[:]
}

// sign makes the host key's signature, by the script's algorithm. The default
// of an RSA key is SHA-1, and clients refuse SHA-1.
func (p *Peer) sign(hash []byte) []byte {
	signature, err := p.HostKey.Sign(rand.Reader, hash)
	if s, ok := p.HostKey.(ssh.AlgorithmSigner); ok && p.SignatureAlgorithm != "" {
		signature, err = s.SignWithAlgorithm(rand.Reader, hash, p.SignatureAlgorithm)
	}
	if err != nil {
		p.Fatalf("the host key does not sign: %v", err)
	}
	return ssh.Marshal(signature)
}

// takeKeys derives the keys of RFC 4253 section 7.2, and exchanges NEWKEYS.
// Each direction changes right behind its own NEWKEYS, and with strict key
// exchange numbers its packets from 0 there.
func (p *Peer) takeKeys(secret, hash []byte) {
	derive := func(letter byte) []byte {
		k := sha256.Sum256(slices.Concat(secret, hash, []byte{letter}, p.SessionID))
		return k[:]
	}
	p.send(ssh.Marshal(NewKeysMsg{}), func() {
		p.sealing = newPacketKey(derive('D'), derive('B'))
		if p.strict {
			p.Sent = 0
		}
	})
	if payload := p.read(); payload[0] == 1 {
		p.leave(payload)
	} else if !bytes.Equal(payload, ssh.Marshal(NewKeysMsg{})) {
		p.Fatalf("the client sent message %d instead of NEWKEYS", payload[0])
	}
	p.opening = newPacketKey(derive('C'), derive('A'))
	if p.strict {
		p.Received = 0
	}
	p.Exchanges++
}
