package userauth

// Message numbers, RFC 4252 section 6. The numbers from 60 to 79 have a meaning
// of their own in each method.
const (
	msgUserAuthRequest = 50
	msgUserAuthFailure = 51
	msgUserAuthSuccess = 52
	msgUserAuthBanner  = 53

	msgMethodFirst = 60
	msgMethodLast  = 79

	// The messages of the service that starts after authentication.
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

// Names of the methods in this package.
const (
	methodNone                = "none"
	methodPassword            = "password"
	methodPublicKey           = "publickey"
	methodKeyboardInteractive = "keyboard-interactive"
	methodHostbased           = "hostbased"
	methodGSSAPI              = "gssapi-with-mic"

	// An alias: publickey with the server's key in the request.
	methodHostbound = "publickey-hostbound-v00@openssh.com"
)

// userAuthRequestMsg is RFC 4252 section 5.
type userAuthRequestMsg struct {
	User    string `sshtype:"50"`
	Service string
	Method  string
	Payload []byte `ssh:"rest"`
}

// userAuthFailureMsg is RFC 4252 section 5.1.
type userAuthFailureMsg struct {
	Methods        []string `sshtype:"51"`
	PartialSuccess bool
}

// userAuthBannerMsg is RFC 4252 section 5.4.
type userAuthBannerMsg struct {
	Message  string `sshtype:"53"`
	Language string
}

// signedDataMsg is the data under a signature, RFC 4252 section 7.
type signedDataMsg struct {
	SessionID []byte
	Request   []byte `ssh:"rest"`
}

// publicKeyMsg has the fields of a publickey request, RFC 4252 section 7.
type publicKeyMsg struct {
	Signed    bool // the signature follows
	Algorithm string
	Key       []byte
}

// hostboundMsg has the field between key and signature in a request by the name of
// methodHostbound, OpenSSH PROTOCOL section 3.1.
type hostboundMsg struct {
	HostKey []byte
}

// signatureMsg ends a request with a signature: a string in a string.
type signatureMsg struct {
	Signature []byte
}

// hostbasedMsg has the fields of a hostbased request, RFC 4252 section 9.
type hostbasedMsg struct {
	Algorithm string
	Key       []byte
	HostName  string
	User      string
}

// publicKeyOKMsg is RFC 4252 section 7.
type publicKeyOKMsg struct {
	Algorithm string `sshtype:"60"`
	Key       []byte
}

// passwordMsg has the fields of a password request, RFC 4252 section 8.
type passwordMsg struct {
	Change   bool
	Password string
}

// passwordChangeMsg has the fields of a change of password, RFC 4252 section 8.
type passwordChangeMsg struct {
	Change                bool
	Password, NewPassword string
}

// passwdChangeReqMsg is RFC 4252 section 8.
type passwdChangeReqMsg struct {
	Prompt   string `sshtype:"60"`
	Language string
}

// keyboardInteractiveMsg has the fields of a request, RFC 4256 section 3.1.
type keyboardInteractiveMsg struct {
	Language   string
	Submethods string
}

// infoRequestMsg is RFC 4256 section 3.2.
type infoRequestMsg struct {
	Name        string `sshtype:"60"`
	Instruction string
	Language    string
	NumPrompts  uint32
	Prompts     []byte `ssh:"rest"`
}

// promptMsg is a prompt in an infoRequestMsg.
type promptMsg struct {
	Text string
	Echo bool
	Rest []byte `ssh:"rest"`
}

// infoResponseMsg is RFC 4256 section 3.4.
type infoResponseMsg struct {
	NumResponses uint32 `sshtype:"61"`
	Responses    []byte `ssh:"rest"`
}

// gssapiMsg has the fields of a gssapi-with-mic request, RFC 4462 section 3.2.
type gssapiMsg struct {
	NumMechanisms uint32
	Mechanism     []byte
}

// gssapiResponseMsg is RFC 4462 section 3.3.
type gssapiResponseMsg struct {
	Mechanism []byte `sshtype:"60"`
}

// gssapiTokenMsg is RFC 4462 section 3.4.
type gssapiTokenMsg struct {
	Token []byte `sshtype:"61"`
}

// gssapiErrorMsg is RFC 4462 section 3.8.
type gssapiErrorMsg struct {
	Major    uint32 `sshtype:"64"`
	Minor    uint32
	Message  string
	Language string
}

// gssapiErrTokMsg is RFC 4462 section 3.9.
type gssapiErrTokMsg struct {
	Token []byte `sshtype:"65"`
}

// gssapiMICMsg is RFC 4462 section 3.5.
type gssapiMICMsg struct {
	MIC []byte `sshtype:"66"`
}
