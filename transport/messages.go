package transport

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
