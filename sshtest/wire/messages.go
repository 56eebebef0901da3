package wire

// The messages of RFC 4253, for [Peer.Send] and for
// [golang.org/x/crypto/ssh.Marshal]. The RFC describes the other fields.
type (
	// A DisconnectMsg ends the connection (RFC 4253 section 11.1).
	DisconnectMsg struct {
		Reason   uint32 `sshtype:"1"`
		Message  string
		Language string
	}
	// An IgnoreMsg is noise (RFC 4253 section 11.2).
	IgnoreMsg struct {
		Data []byte `sshtype:"2"`
	}
	// An UnimplementedMsg answers an unknown message (RFC 4253 section 11.4).
	UnimplementedMsg struct {
		Sequence uint32 `sshtype:"3"`
	}
	// A DebugMsg is noise with a text (RFC 4253 section 11.3).
	DebugMsg struct {
		Display  bool `sshtype:"4"`
		Message  string
		Language string
	}
	// A ServiceRequestMsg is the client's request (RFC 4253 section 10).
	ServiceRequestMsg struct {
		Name string `sshtype:"5"`
	}
	// A ServiceAcceptMsg grants a service.
	ServiceAcceptMsg struct {
		Name string `sshtype:"6"`
	}
	// An ExtInfoMsg names extensions (RFC 8308 section 2.3). Pairs are Count
	// times a name and a value, each a string.
	ExtInfoMsg struct {
		Count uint32 `sshtype:"7"`
		Pairs []byte `ssh:"rest"`
	}
	// A KexInitMsg opens a key exchange (RFC 4253 section 7.1). In is from
	// client to server.
	KexInitMsg struct {
		Cookie                        [16]byte `sshtype:"20"`
		Kex, HostKey                  []string
		CipherIn, CipherOut           []string
		MACIn, MACOut                 []string
		CompressionIn, CompressionOut []string
		LanguageIn, LanguageOut       []string
		FirstKexFollows               bool
		Reserved                      uint32
	}
	// A NewKeysMsg ends a key exchange (RFC 4253 section 7.3). Rest is empty,
	// except in lies.
	NewKeysMsg struct {
		Rest []byte `sshtype:"21" ssh:"rest"`
	}
	// A KexECDHInitMsg is the client's public key (RFC 5656 section 4).
	KexECDHInitMsg struct {
		Public []byte `sshtype:"30"`
	}
	// A KexECDHReplyMsg is the server's public key and signature (RFC 5656
	// section 4).
	KexECDHReplyMsg struct {
		HostKey   []byte `sshtype:"31"`
		Public    []byte
		Signature []byte
	}
	// A PingMsg wants a PongMsg (OpenSSH PROTOCOL section 1.8).
	PingMsg struct {
		Data []byte `sshtype:"192"`
	}
	// A PongMsg answers a PingMsg.
	PongMsg struct {
		Data []byte `sshtype:"193"`
	}
)

// The messages of RFC 4252 and RFC 4256.
type (
	// A UserauthRequestMsg is the client's request. Payload depends on the
	// method.
	UserauthRequestMsg struct {
		User    string `sshtype:"50"`
		Service string
		Method  string
		Payload []byte `ssh:"rest"`
	}
	// A UserauthFailureMsg refuses, and names the methods that can go on.
	UserauthFailureMsg struct {
		Methods        []string `sshtype:"51"`
		PartialSuccess bool
	}
	// A UserauthSuccessMsg lets the client in. Rest is empty, except in lies.
	UserauthSuccessMsg struct {
		Rest []byte `sshtype:"52" ssh:"rest"`
	}
	// A UserauthBannerMsg is text for the user to see.
	UserauthBannerMsg struct {
		Message  string `sshtype:"53"`
		Language string
	}
	// A UserauthPKOKMsg says that a key would be accepted (RFC 4252 section
	// 7).
	UserauthPKOKMsg struct {
		Algorithm string `sshtype:"60"`
		Key       []byte
	}
	// A UserauthPasswdChangeReqMsg wants a new password (RFC 4252 section 8).
	UserauthPasswdChangeReqMsg struct {
		Prompt   string `sshtype:"60"`
		Language string
	}
	// A UserauthInfoRequestMsg asks questions (RFC 4256 section 3.2). Prompts
	// are Count times a string and a boolean.
	UserauthInfoRequestMsg struct {
		Name        string `sshtype:"60"`
		Instruction string
		Language    string
		Count       uint32
		Prompts     []byte `ssh:"rest"`
	}
	// A UserauthInfoResponseMsg answers the questions. Answers are Count
	// strings.
	UserauthInfoResponseMsg struct {
		Count   uint32 `sshtype:"61"`
		Answers []byte `ssh:"rest"`
	}
)

// The messages of RFC 4254. Recipient is the receiver's number of the channel,
// and Sender the sender's.
type (
	// A GlobalRequestMsg concerns the connection. Payload depends on the name.
	GlobalRequestMsg struct {
		Name      string `sshtype:"80"`
		WantReply bool
		Payload   []byte `ssh:"rest"`
	}
	// A RequestSuccessMsg answers the oldest GlobalRequestMsg.
	RequestSuccessMsg struct {
		Payload []byte `sshtype:"81" ssh:"rest"`
	}
	// A RequestFailureMsg refuses the oldest GlobalRequestMsg. Rest is empty,
	// except in lies.
	RequestFailureMsg struct {
		Rest []byte `sshtype:"82" ssh:"rest"`
	}
	// A ChannelOpenMsg opens a channel. Payload depends on the type.
	ChannelOpenMsg struct {
		Type      string `sshtype:"90"`
		Sender    uint32
		Window    uint32
		MaxPacket uint32
		Payload   []byte `ssh:"rest"`
	}
	// A ChannelOpenConfirmMsg grants a channel.
	ChannelOpenConfirmMsg struct {
		Recipient uint32 `sshtype:"91"`
		Sender    uint32
		Window    uint32
		MaxPacket uint32
		Payload   []byte `ssh:"rest"`
	}
	// A ChannelOpenFailureMsg refuses a channel.
	ChannelOpenFailureMsg struct {
		Recipient uint32 `sshtype:"92"`
		Reason    uint32
		Message   string
		Language  string
	}
	// A ChannelWindowAdjustMsg lets the receiver send more.
	ChannelWindowAdjustMsg struct {
		Recipient uint32 `sshtype:"93"`
		Bytes     uint32
	}
	// A ChannelDataMsg is data.
	ChannelDataMsg struct {
		Recipient uint32 `sshtype:"94"`
		Data      []byte
	}
	// A ChannelExtendedDataMsg is data of another stream; stderr is 1.
	ChannelExtendedDataMsg struct {
		Recipient uint32 `sshtype:"95"`
		Stream    uint32
		Data      []byte
	}
	// A ChannelEOFMsg ends the sender's data.
	ChannelEOFMsg struct {
		Recipient uint32 `sshtype:"96"`
	}
	// A ChannelCloseMsg ends the channel.
	ChannelCloseMsg struct {
		Recipient uint32 `sshtype:"97"`
	}
	// A ChannelRequestMsg concerns the channel. Payload depends on the name.
	ChannelRequestMsg struct {
		Recipient uint32 `sshtype:"98"`
		Name      string
		WantReply bool
		Payload   []byte `ssh:"rest"`
	}
	// A ChannelSuccessMsg answers the oldest ChannelRequestMsg.
	ChannelSuccessMsg struct {
		Recipient uint32 `sshtype:"99"`
	}
	// A ChannelFailureMsg refuses the oldest ChannelRequestMsg.
	ChannelFailureMsg struct {
		Recipient uint32 `sshtype:"100"`
	}
)
