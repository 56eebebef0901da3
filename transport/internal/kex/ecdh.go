package kex

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// curve is a key exchange on an elliptic curve, RFC 5656 section 4, and RFC 8731 for
// X25519. The standard library refuses points off the curve, compressed points, the
// point at infinity and an all-zero result.
type curve struct {
	curve ecdh.Curve
	key   *ecdh.PrivateKey
}

// newCurve returns a function that starts a run on the curve.
func newCurve(c ecdh.Curve) func() Method {
	return func() Method { return &curve{curve: c} }
}

// Begin draws a key and sends its public point.
func (k *curve) Begin() ([]byte, error) {
	var err error
	if k.key, err = k.curve.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	return ssh.Marshal(&curveInitMsg{ClientPublic: k.key.PublicKey().Bytes()}), nil
}

// Next takes the server's point.
func (k *curve) Next(reply []byte) ([]byte, *Result, error) {
	m, err := parseReply(reply)
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
		return nil, fmt.Errorf("the server's key exchange value is not valid: %v", err)
	}
	secret, err := key.ECDH(pub)
	if err != nil {
		return nil, fmt.Errorf("the server's key exchange value is not valid: %v", err)
	}
	return secret, nil
}

// parseReply parses the reply of a method with two octet strings.
func parseReply(reply []byte) (*curveReplyMsg, error) {
	m := new(curveReplyMsg)
	if err := ssh.Unmarshal(reply, m); err != nil {
		return nil, errReply(reply, err)
	}
	return m, nil
}

// result makes the Result of a reply.
func (m *curveReplyMsg) result(clientPublic, secret []byte) *Result {
	return &Result{
		HostKey:   m.HostKey,
		Signature: m.Signature,
		Values:    appendString(appendString(nil, clientPublic), m.ServerPublic),
		Secret:    secret,
	}
}

// curveInitMsg and its reply serve every method with two octet strings: RFC 5656
// section 4, RFC 8731 section 3 and hybrid methods.
type curveInitMsg struct {
	ClientPublic []byte `sshtype:"30"`
}

type curveReplyMsg struct {
	HostKey      []byte `sshtype:"31"`
	ServerPublic []byte
	Signature    []byte
}
