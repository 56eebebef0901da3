package userauth

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// extSignatures is the extension that lists what the server verifies, RFC 8308
// section 3.1.
const extSignatures = "server-sig-algs"

// algorithm is how a key is offered: the name of the public key algorithm in
// the request and that of the signature. They differ for certificates.
type algorithm struct {
	name, signature string
}

// keyAlgorithms returns the algorithms for a type of key, best first. RSA goes
// with SHA-2 only, RFC 8332 section 3, and DSA not at all. A type that is not
// known here is its own algorithm, if it can be the name of one.
func keyAlgorithms(keyType string) []algorithm {
	switch keyType {
	case ssh.KeyAlgoRSA:
		return []algorithm{
			{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA512},
			{ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA256},
		}
	case ssh.CertAlgoRSAv01:
		return []algorithm{
			{ssh.CertAlgoRSASHA512v01, ssh.KeyAlgoRSASHA512},
			{ssh.CertAlgoRSASHA256v01, ssh.KeyAlgoRSASHA256},
		}
	//lint:ignore SA1019 The names are needed to refuse what they name.
	case ssh.InsecureKeyAlgoDSA, ssh.InsecureCertAlgoDSAv01:
		return nil
	case ssh.CertAlgoECDSA256v01:
		return []algorithm{{keyType, ssh.KeyAlgoECDSA256}}
	case ssh.CertAlgoECDSA384v01:
		return []algorithm{{keyType, ssh.KeyAlgoECDSA384}}
	case ssh.CertAlgoECDSA521v01:
		return []algorithm{{keyType, ssh.KeyAlgoECDSA521}}
	case ssh.CertAlgoED25519v01:
		return []algorithm{{keyType, ssh.KeyAlgoED25519}}
	case ssh.CertAlgoSKECDSA256v01:
		return []algorithm{{keyType, ssh.KeyAlgoSKECDSA256}}
	case ssh.CertAlgoSKED25519v01:
		return []algorithm{{keyType, ssh.KeyAlgoSKED25519}}
	case ssh.CertAlgoMLDSA44v01Go:
		return []algorithm{{keyType, ssh.KeyAlgoMLDSA44}}
	case ssh.CertAlgoMLDSA65v01Go:
		return []algorithm{{keyType, ssh.KeyAlgoMLDSA65}}
	case ssh.CertAlgoMLDSA87v01Go:
		return []algorithm{{keyType, ssh.KeyAlgoMLDSA87}}
	}
	if !validName(keyType) {
		return nil
	}
	return []algorithm{{keyType, keyType}}
}

// InsecureSHA1 returns the signer as one that may sign with RSA and SHA-1, the
// algorithm ssh-rsa, where the server takes nothing better: where it lists
// ssh-rsa only or, having no list, has refused SHA-2. That is what OpenSSH
// before 7.2 and the like need. Where a server refuses what it lists, a signer
// of [ssh.NewSignerWithAlgorithms] that can do "ssh-rsa" only leaves no choice.
// SHA-1 is broken: whoever can choose what is signed may be able to make the
// signature serve for something else.
func InsecureSHA1(signer ssh.Signer) ssh.Signer {
	if signer == nil {
		return nil // which is passed over
	}
	return insecureSigner{signer}
}

type insecureSigner struct{ ssh.Signer }

// signerAlgorithms returns the algorithms that both the key and its signer can
// do. A signer that cannot be told an algorithm signs with the type of its key,
// which for RSA means SHA-1.
func signerAlgorithms(signer ssh.Signer, keyType string) []algorithm {
	algorithms := keyAlgorithms(keyType)
	isRSA := keyType == ssh.KeyAlgoRSA || keyType == ssh.CertAlgoRSAv01
	insecure, weak := signer.(insecureSigner)
	if weak = weak && isRSA; weak {
		signer = insecure.Signer
		algorithms = append(algorithms, algorithm{keyType, ssh.KeyAlgoRSA})
	}
	switch s := signer.(type) {
	case ssh.MultiAlgorithmSigner:
		can := s.Algorithms()
		return slices.DeleteFunc(algorithms, func(a algorithm) bool { return !slices.Contains(can, a.signature) })
	case ssh.AlgorithmSigner:
		return algorithms
	}
	if isRSA {
		return slices.DeleteFunc(algorithms, func(a algorithm) bool { return a.signature != ssh.KeyAlgoRSA })
	}
	return algorithms
}

// choose returns the best algorithm that the server lists in server-sig-algs,
// RFC 8308 section 3.1. Without such a list, or with one that has none of the
// key's, it returns the best that the key has: a server need not list all that
// it accepts.
func (k *candidate) choose(x *Exchange) algorithm {
	list, _ := x.Extension(extSignatures)
	accepted := strings.Split(string(list), ",")
	for _, a := range k.algorithms {
		if slices.Contains(accepted, a.signature) || slices.Contains(accepted, a.name) {
			return a
		}
	}
	return k.algorithms[0]
}
