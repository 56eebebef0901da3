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
)

// Names of the methods written here.
const (
	methodNone                = "none"
	methodPassword            = "password"
	methodPublicKey           = "publickey"
	methodKeyboardInteractive = "keyboard-interactive"
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
	Signed    bool
	Algorithm string
	Key       []byte
	Signature []byte `ssh:"rest"` // a string, present when Signed
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
