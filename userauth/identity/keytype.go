package identity

import (
	"errors"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/sshkey"
)

// algorithms returns the signature algorithms of a type of key, with SHA-1 for RSA
// at the end. The only algorithm of an unknown type has the type's name.
func algorithms(keyType string) []string {
	formats := sshkey.Signatures(keyType)
	if keyType == ssh.KeyAlgoRSA || len(formats) == 0 {
		formats = append(formats, keyType)
	}
	return formats
}

// supported returns why keys of a type cannot sign, or nil.
func supported(keyType string) error {
	switch keyType {
	//lint:ignore SA1019 The name is needed to refuse what it names.
	case ssh.InsecureKeyAlgoDSA:
		return errors.New("DSA keys are not supported, and servers no longer take them")
	case "ssh-ed448":
		return errors.New("Ed448 keys are not supported")
	}
	return nil
}
