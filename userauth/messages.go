package userauth

// Message numbers, RFC 4252 section 6. Those from 60 to 79 mean something else
// in each method.
const (
	msgUserAuthRequest = 50
	msgUserAuthFailure = 51
	msgUserAuthSuccess = 52
	msgUserAuthBanner  = 53

	msgMethodFirst = 60
	msgMethodLast  = 79

	// What belongs to the service that starts after authentication.
	msgServiceFirst = 80
	msgServiceLast  = 127

	msgPublicKeyOK     = 60 // RFC 4252 section 7
	msgPasswdChangeReq = 60 // RFC 4252 section 8
	msgInfoRequest     = 60 // RFC 4256 section 5
	msgGSSAPIResponse  = 60 // and the rest: RFC 4462 section 3.10
	msgGSSAPIToken     = 61
	msgGSSAPIError     = 64
	msgGSSAPIErrTok    = 65
)

// Names of the methods written here.
const (
	methodNone                = "none"
	methodPassword            = "password"
	methodPublicKey           = "publickey"
	methodKeyboardInteractive = "keyboard-interactive"
	methodHostbased           = "hostbased"
	methodGSSAPI              = "gssapi-with-mic"

	// Not a method of its own: publickey with the server's key in the request.
	methodHostbound = "publickey-hostbound-v00@openssh.com"
)

// RFC 4252 section 5.
type userAuthRequestMsg struct {
	User    string `sshtype:"50"`
	Service string
	Method  string
	Payload []byte `ssh:"rest"`
}

// RFC 4252 section 5.1.
type userAuthFailureMsg struct {
	Methods        []string `sshtype:"51"`
	PartialSuccess bool
}

// RFC 4252 section 5.4.
type userAuthBannerMsg struct {
	Message  string `sshtype:"53"`
	Language string
}

// What a signature covers, RFC 4252 section 7.
type signedDataMsg struct {
	SessionID []byte
	Request   []byte `ssh:"rest"`
}

// The fields of a publickey request, RFC 4252 section 7.
type publicKeyMsg struct {
	Signed    bool // the signature follows
	Algorithm string
	Key       []byte
}

// What follows the key in a request by the name of methodHostbound, OpenSSH
// PROTOCOL section 3.1. The signature comes behind it.
type hostboundMsg struct {
	HostKey []byte
}

// A signature at the end of a request is a string in a string.
type signatureMsg struct {
	Signature []byte
}

// The fields of a hostbased request without its signature, RFC 4252 section 9.
type hostbasedMsg struct {
	Algorithm string
	Key       []byte
	HostName  string
	User      string
}

// RFC 4252 section 7.
type publicKeyOKMsg struct {
	Algorithm string `sshtype:"60"`
	Key       []byte
}

// The fields of a password request, RFC 4252 section 8.
type passwordMsg struct {
	Change   bool
	Password string
}

// The fields of a password request with a new one, RFC 4252 section 8.
type passwordChangeMsg struct {
	Change                bool
	Password, NewPassword string
}

// RFC 4252 section 8.
type passwdChangeReqMsg struct {
	Prompt   string `sshtype:"60"`
	Language string
}

// The fields of a keyboard-interactive request, RFC 4256 section 3.1.
type keyboardInteractiveMsg struct {
	Language   string
	Submethods string
}

// RFC 4256 section 3.2.
type infoRequestMsg struct {
	Name        string `sshtype:"60"`
	Instruction string
	Language    string
	NumPrompts  uint32
	Prompts     []byte `ssh:"rest"`
}

// One of the prompts in an infoRequestMsg.
type promptMsg struct {
	Text string
	Echo bool
	Rest []byte `ssh:"rest"`
}

// RFC 4256 section 3.4.
type infoResponseMsg struct {
	NumResponses uint32 `sshtype:"61"`
	Responses    []byte `ssh:"rest"`
}

// The fields of a gssapi-with-mic request, RFC 4462 section 3.2.
type gssapiMsg struct {
	NumMechanisms uint32
	Mechanism     []byte
}

// RFC 4462 section 3.3.
type gssapiResponseMsg struct {
	Mechanism []byte `sshtype:"60"`
}

// RFC 4462 section 3.4.
type gssapiTokenMsg struct {
	Token []byte `sshtype:"61"`
}

// RFC 4462 section 3.8.
type gssapiErrorMsg struct {
	Major    uint32 `sshtype:"64"`
	Minor    uint32
	Message  string
	Language string
}

// RFC 4462 section 3.9.
type gssapiErrTokMsg struct {
	Token []byte `sshtype:"65"`
}

// RFC 4462 section 3.5.
type gssapiMICMsg struct {
	MIC []byte `sshtype:"66"`
}
