package transport

import "math/big"

// Message numbers, RFC 4253 section 12, RFC 5656 section 7.1, RFC 4419
// section 5, RFC 8308 section 2.3 and OpenSSH PROTOCOL section 1.8.
const (
	msgDisconnect     = 1
	msgIgnore         = 2
	msgUnimplemented  = 3
	msgDebug          = 4
	msgServiceRequest = 5
	msgServiceAccept  = 6
	msgExtInfo        = 7
	msgKexInit        = 20
	msgNewKeys        = 21
	msgKexFirst       = 30 // 30 to 49 belong to the key exchange method
	msgKexLast        = 49
	msgUpperFirst     = 50 // from here on the layers above
	msgAuthSuccess    = 52 // looked at for RFC 8308 section 2.4 only
	msgUpperLast      = 127
	msgPing           = 192
	msgPong           = 193
)

// Reasons of SSH_MSG_DISCONNECT, RFC 4253 section 11.1.
const (
	reasonProtocolError     = 2
	reasonKexFailed         = 3
	reasonHostNotVerifiable = 9
	reasonByApplication     = 11
)

type disconnectMsg struct {
	Reason      uint32 `sshtype:"1"`
	Description string
	Rest        []byte `ssh:"rest"` // the language tag, which some servers omit
}

type unimplementedMsg struct {
	Seq uint32 `sshtype:"3"`
}

type serviceRequestMsg struct {
	Name string `sshtype:"5"`
}

type serviceAcceptMsg struct {
	Name string `sshtype:"6"`
}

type pingMsg struct {
	Data []byte `sshtype:"192"`
}

type pongMsg struct {
	Data []byte `sshtype:"193"`
}

type kexInitMsg struct {
	Cookie                  [16]byte `sshtype:"20"`
	KexAlgorithms           []string
	HostKeyAlgorithms       []string
	CiphersClientServer     []string
	CiphersServerClient     []string
	MACsClientServer        []string
	MACsServerClient        []string
	CompressionClientServer []string
	CompressionServerClient []string
	LanguagesClientServer   []string
	LanguagesServerClient   []string
	FirstKexFollows         bool
	Reserved                uint32
}

// kexECDHInitMsg and its reply serve every method that exchanges two octet
// strings: RFC 5656 section 4, RFC 8731 section 3 and the hybrid ones.
type kexECDHInitMsg struct {
	ClientPublic []byte `sshtype:"30"`
}

type kexECDHReplyMsg struct {
	HostKey      []byte `sshtype:"31"`
	ServerPublic []byte
	Signature    []byte
}

type kexDHInitMsg struct {
	E *big.Int `sshtype:"30"`
}

type kexDHReplyMsg struct {
	HostKey   []byte `sshtype:"31"`
	F         *big.Int
	Signature []byte
}

type kexGexRequestMsg struct {
	MinBits       uint32 `sshtype:"34"`
	PreferredBits uint32
	MaxBits       uint32
}

type kexGexGroupMsg struct {
	P *big.Int `sshtype:"31"`
	G *big.Int
}

type kexGexInitMsg struct {
	E *big.Int `sshtype:"32"`
}

type kexGexReplyMsg struct {
	HostKey   []byte `sshtype:"33"`
	F         *big.Int
	Signature []byte
}

// signatureMsg is the inside of a signature, RFC 4253 section 6.6. Rest holds
// flags and counter of a security key's signature.
type signatureMsg struct {
	Format string
	Blob   []byte
	Rest   []byte `ssh:"rest"`
}
