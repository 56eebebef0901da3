package connection

import (
	"encoding/binary"

	"golang.org/x/crypto/ssh"
)

// These are the message numbers of RFC 4254 section 9.
const (
	msgUserAuthBanner      = 53 // of RFC 4252 section 5.4; see dispatch
	msgGlobalRequest       = 80
	msgRequestSuccess      = 81
	msgRequestFailure      = 82
	msgChannelOpen         = 90
	msgChannelConfirmation = 91
	msgChannelOpenFailure  = 92
	msgWindowAdjust        = 93
	msgChannelData         = 94
	msgChannelExtendedData = 95
	msgChannelEOF          = 96
	msgChannelClose        = 97
	msgChannelRequest      = 98
	msgChannelSuccess      = 99
	msgChannelFailure      = 100
)

// RFC 4254 section 4.
type globalRequestMsg struct {
	Name      string `sshtype:"80"`
	WantReply bool
	Payload   []byte `ssh:"rest"`
}

// channelOpenMsg is SSH_MSG_CHANNEL_OPEN, RFC 4254 section 5.1.
type channelOpenMsg struct {
	Type      string `sshtype:"90"`
	Sender    uint32
	Window    uint32
	MaxPacket uint32
	ExtraData []byte `ssh:"rest"`
}

// channelConfirmationMsg is SSH_MSG_CHANNEL_OPEN_CONFIRMATION, RFC 4254 section 5.1.
type channelConfirmationMsg struct {
	Recipient uint32 `sshtype:"91"`
	Sender    uint32
	Window    uint32
	MaxPacket uint32
	ExtraData []byte `ssh:"rest"`
}

// channelOpenFailureMsg is SSH_MSG_CHANNEL_OPEN_FAILURE, RFC 4254 section 5.1.
type channelOpenFailureMsg struct {
	Recipient uint32 `sshtype:"92"`
	Reason    uint32
	Message   string
	Language  []byte `ssh:"rest"` // a string; some servers leave this field out
}

// channelRequestMsg is SSH_MSG_CHANNEL_REQUEST, RFC 4254 section 5.4.
type channelRequestMsg struct {
	Recipient uint32 `sshtype:"98"`
	Name      string
	WantReply bool
	Payload   []byte `ssh:"rest"`
}

// unmarshal parses a message. A malformed message is a violation by the peer.
func unmarshal(packet []byte, msg any) error {
	if err := ssh.Unmarshal(packet, msg); err != nil {
		return protocolErrorf("malformed message %d", packet[0])
	}
	return nil
}

// appendMsg appends the start of a message to a channel: all there is of EOF, CLOSE, SUCCESS and
// FAILURE.
func appendMsg(b []byte, number byte, recipient uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, number), recipient)
}

// maxDataHeader is the most bytes that appendDataHeader appends.
const maxDataHeader = 13

// appendDataHeader appends the header of size bytes of channel data: extended data of the given
// type, or ordinary data for type 0.
func appendDataHeader(b []byte, recipient, extended uint32, size int) []byte {
	if extended == 0 {
		b = appendMsg(b, msgChannelData, recipient)
	} else {
		b = appendMsg(b, msgChannelExtendedData, recipient)
		b = binary.BigEndian.AppendUint32(b, extended)
	}
	return binary.BigEndian.AppendUint32(b, uint32(size))
}

// parseString splits a string off the front of b.
func parseString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	b = b[4:]
	if uint64(n) > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}
