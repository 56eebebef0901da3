package kex

import (
	"crypto"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sntrup761"
)

// hybrid is a post-quantum key encapsulation mechanism beside an elliptic curve:
// draft-ietf-sshm-mlkem-hybrid-kex, and RFC 9941 for sntrup761. A message carries the
// mechanism's part and the point in one string. The hash of both secrets is K, as a
// string. K is safe as long as either half is.
type hybrid struct {
	mechanism mechanism
	curve     ecdh.Curve
	hash      crypto.Hash

	decapsulate func(ciphertext []byte) (secret []byte, err error)
	point       *ecdh.PrivateKey
	init        []byte
}

// mechanism is a key encapsulation mechanism: a function that draws a key, and the
// size of the ciphertexts.
type mechanism struct {
	generate   func() (public []byte, decapsulate func([]byte) ([]byte, error), err error)
	ciphertext int
}

var (
	mlkem768  = mechanism{generate768, mlkem.CiphertextSize768}
	mlkem1024 = mechanism{generate1024, mlkem.CiphertextSize1024}
	sntrup    = mechanism{generateSntrup, sntrup761.CiphertextSize}
)

func generate768() ([]byte, func([]byte) ([]byte, error), error) {
	key, err := mlkem.GenerateKey768()
	if err != nil {
		return nil, nil, err
	}
	return key.EncapsulationKey().Bytes(), key.Decapsulate, nil
}

func generate1024() ([]byte, func([]byte) ([]byte, error), error) {
	key, err := mlkem.GenerateKey1024()
	if err != nil {
		return nil, nil, err
	}
	return key.EncapsulationKey().Bytes(), key.Decapsulate, nil
}

func generateSntrup() ([]byte, func([]byte) ([]byte, error), error) {
	key := sntrup761.GenerateKey()
	return key.EncapsulationKey().Bytes(), key.Decapsulate, nil
}

func newHybrid(m mechanism, curve ecdh.Curve, hash crypto.Hash) definition {
	return definition{hash: hash, postQuantum: true, new: func() Method {
		return &hybrid{mechanism: m, curve: curve, hash: hash}
	}}
}

// Begin draws both keys and sends their public halves.
func (k *hybrid) Begin() ([]byte, error) {
	var err error
	if k.init, k.decapsulate, err = k.mechanism.generate(); err != nil {
		return nil, err
	}
	if k.point, err = k.curve.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	k.init = append(k.init, k.point.PublicKey().Bytes()...)
	return ssh.Marshal(&curveInitMsg{ClientPublic: k.init}), nil
}

// Next takes the server's ciphertext and point.
func (k *hybrid) Next(reply []byte) ([]byte, *Result, error) {
	m, err := parseReply(reply)
	if err != nil {
		return nil, nil, err
	}
	split := k.mechanism.ciphertext
	if want := split + len(k.point.PublicKey().Bytes()); len(m.ServerPublic) != want {
		return nil, nil, fmt.Errorf("the server's key exchange value has %d bytes, not %d", len(m.ServerPublic), want)
	}
	// A ciphertext for another key gives a random secret (implicit rejection), and the
	// host key's signature will not fit.
	quantum, err := k.decapsulate(m.ServerPublic[:split])
	if err != nil {
		return nil, nil, fmt.Errorf("the server's key exchange value is not valid: %v", err)
	}
	// The curve's secret has the size of a coordinate, zeros in front included.
	classic, err := agree(k.point, m.ServerPublic[split:])
	if err != nil {
		return nil, nil, err
	}
	h := k.hash.New()
	h.Write(quantum)
	h.Write(classic)
	return nil, m.result(k.init, appendString(nil, h.Sum(nil))), nil
}
