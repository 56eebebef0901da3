package userauth

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
)

// extSignatures is the extension that lists the signature algorithms of the
// server, RFC 8308 section 3.1.
const extSignatures = "server-sig-algs"

// InsecureSHA1 returns a signer that may sign with RSA and SHA-1, the algorithm
// ssh-rsa, where the server takes nothing better: where the server lists ssh-rsa
// only, or has no list and has refused SHA-2. OpenSSH before 7.2 and other old
// servers need ssh-rsa. For a server that refuses an algorithm of its own list,
// use a signer of [ssh.NewSignerWithAlgorithms] with "ssh-rsa" only. SHA-1 is
// broken: whoever can choose the signed data may be able to use the signature
// for something else.
func InsecureSHA1(signer ssh.Signer) ssh.Signer {
	if signer == nil {
		return nil // nil signers are passed over
	}
	return insecureSigner{signer}
}

type insecureSigner struct{ ssh.Signer }

// signerAlgorithms returns the algorithms that both the key and its signer can
// do. A plain ssh.Signer signs with the type of its key: with SHA-1 for RSA.
func signerAlgorithms(signer ssh.Signer, keyType string) []sshkey.Algorithm {
	algorithms := keyAlgorithms(keyType)
	isRSA := keyType == ssh.KeyAlgoRSA || keyType == ssh.CertAlgoRSAv01
	insecure, weak := signer.(insecureSigner)
	if weak = weak && isRSA; weak {
		signer = insecure.Signer
		algorithms = append(algorithms, sshkey.Algorithm{Name: keyType, KeyType: keyType, Signature: ssh.KeyAlgoRSA})
	}
	switch s := signer.(type) {
	case ssh.MultiAlgorithmSigner:
		can := s.Algorithms()
		return slices.DeleteFunc(algorithms, func(a sshkey.Algorithm) bool { return !slices.Contains(can, a.Signature) })
	case ssh.AlgorithmSigner:
		return algorithms
	}
	if isRSA {
		return slices.DeleteFunc(algorithms, func(a sshkey.Algorithm) bool { return a.Signature != ssh.KeyAlgoRSA })
	}
	return algorithms
}

// choose returns the best algorithm of the key that the server lists in
// server-sig-algs, RFC 8308 section 3.1, or the key's best if the list has none:
// a server need not list all algorithms that are accepted.
func (k *candidate) choose(x *Exchange) sshkey.Algorithm {
	list, _ := x.Extension(extSignatures)
	accepted := strings.Split(string(list), ",")
	for _, a := range k.algorithms {
		if slices.Contains(accepted, a.Signature) || slices.Contains(accepted, a.Name) {
			return a
		}
	}
	return k.algorithms[0]
}
