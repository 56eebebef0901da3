package transport

import (
	"crypto"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"

	"golang.org/x/crypto/ssh"
)

// kexMethods are the methods that we implement, by their names on the wire.
var kexMethods = map[string]*kexMethod{
	"mlkem768x25519-sha256":                {crypto.SHA256, func() kex { return new(kexMLKEM) }},
	"curve25519-sha256":                    {crypto.SHA256, newECDH(ecdh.X25519())},
	"curve25519-sha256@libssh.org":         {crypto.SHA256, newECDH(ecdh.X25519())},
	"ecdh-sha2-nistp256":                   {crypto.SHA256, newECDH(ecdh.P256())},
	"ecdh-sha2-nistp384":                   {crypto.SHA384, newECDH(ecdh.P384())},
	"ecdh-sha2-nistp521":                   {crypto.SHA512, newECDH(ecdh.P521())},
	"diffie-hellman-group14-sha256":        {crypto.SHA256, newDH(group14, 512)},
	"diffie-hellman-group16-sha512":        {crypto.SHA512, newDH(group16, 1024)},
	"diffie-hellman-group18-sha512":        {crypto.SHA512, newDH(group18, 1024)},
	"diffie-hellman-group-exchange-sha256": {crypto.SHA256, func() kex { return new(kexGex) }},
}

// kexECDH is RFC 5656 section 4, and RFC 8731 for X25519. The standard library
// refuses points that are not on the curve, compressed points, the point at
// infinity and an all-zero result.
type kexECDH struct {
	curve ecdh.Curve
	key   *ecdh.PrivateKey
}

func newECDH(curve ecdh.Curve) func() kex {
	return func() kex { return &kexECDH{curve: curve} }
}

func (k *kexECDH) begin() ([]byte, error) {
	var err error
	if k.key, err = k.curve.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	return ssh.Marshal(&kexECDHInitMsg{ClientPublic: k.key.PublicKey().Bytes()}), nil
}

func (k *kexECDH) next(reply []byte) ([]byte, *kexResult, error) {
	m, err := parseECDHReply(reply)
	if err != nil {
		return nil, nil, err
	}
	secret, err := agree(k.key, m.ServerPublic)
	if err != nil {
		return nil, nil, err
	}
	return nil, m.result(k.key.PublicKey().Bytes(), appendIntBytes(nil, secret)), nil
}

// agree computes the Diffie-Hellman secret with the server's public point.
func agree(key *ecdh.PrivateKey, public []byte) ([]byte, error) {
	pub, err := key.Curve().NewPublicKey(public)
	if err != nil {
		return nil, protocolErrorf("the server's key exchange value is not valid: %v", err)
	}
	secret, err := key.ECDH(pub)
	if err != nil {
		return nil, protocolErrorf("the server's key exchange value is not valid: %v", err)
	}
	return secret, nil
}

func parseECDHReply(reply []byte) (*kexECDHReplyMsg, error) {
	m := new(kexECDHReplyMsg)
	if err := ssh.Unmarshal(reply, m); err != nil {
		return nil, errKexReply(reply, err)
	}
	return m, nil
}

func (m *kexECDHReplyMsg) result(clientPublic, secret []byte) *kexResult {
	return &kexResult{
		hostKey:   m.HostKey,
		signature: m.Signature,
		values:    appendString(appendString(nil, clientPublic), m.ServerPublic),
		secret:    secret,
	}
}

// kexMLKEM is mlkem768x25519-sha256 of draft-ietf-sshm-mlkem-hybrid-kex: an
// ML-KEM-768 encapsulation key and an X25519 point together, one secret hashed
// from both, used as a string.
type kexMLKEM struct {
	kem   *mlkem.DecapsulationKey768
	point *ecdh.PrivateKey
	init  []byte
}

func (k *kexMLKEM) begin() ([]byte, error) {
	var err error
	if k.kem, err = mlkem.GenerateKey768(); err != nil {
		return nil, err
	}
	if k.point, err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	k.init = append(k.kem.EncapsulationKey().Bytes(), k.point.PublicKey().Bytes()...)
	return ssh.Marshal(&kexECDHInitMsg{ClientPublic: k.init}), nil
}

func (k *kexMLKEM) next(reply []byte) ([]byte, *kexResult, error) {
	const pointSize = 32
	m, err := parseECDHReply(reply)
	if err != nil {
		return nil, nil, err
	}
	if len(m.ServerPublic) != mlkem.CiphertextSize768+pointSize {
		return nil, nil, protocolErrorf("ML-KEM reply of %d bytes", len(m.ServerPublic))
	}
	// A ciphertext that is not for this key gives a random secret (FIPS 203,
	// implicit rejection), and the host key's signature will not fit.
	quantum, err := k.kem.Decapsulate(m.ServerPublic[:mlkem.CiphertextSize768])
	if err != nil {
		return nil, nil, protocolErrorf("the server's key exchange value is not valid: %v", err)
	}
	classic, err := agree(k.point, m.ServerPublic[mlkem.CiphertextSize768:])
	if err != nil {
		return nil, nil, err
	}
	h := crypto.SHA256.New()
	h.Write(quantum)
	h.Write(classic)
	return nil, m.result(k.init, appendString(nil, h.Sum(nil))), nil
}
