package transport

import (
	"crypto/rand"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/transport/internal/packetio"
)

// Names in the list of key exchange methods that are not methods.
const (
	extInfoClient = "ext-info-c"                   // RFC 8308 section 2.1
	strictClient  = "kex-strict-c-v00@openssh.com" // OpenSSH PROTOCOL section 1.9
	strictServer  = "kex-strict-s-v00@openssh.com" // likewise
	noCompression = "none"                         // RFC 4253 section 6.2
)

// algorithms is the outcome of a negotiation.
type algorithms struct {
	kex, hostKey               string
	clientCipher, serverCipher string
	clientMAC, serverMAC       string // empty with an AEAD cipher
	strict                     bool   // meaningful in the first exchange only
	wrongGuess                 bool   // the server's next packet is to be ignored
}

// makeKexInit returns our KEXINIT. In a re-exchange only the host key
// algorithm of the first one is offered: the server must show the same key.
func (c *Conn) makeKexInit() *kexInitMsg {
	m := &kexInitMsg{
		KexAlgorithms:           slices.Clone(c.config.KeyExchanges),
		HostKeyAlgorithms:       c.config.HostKeyAlgorithms,
		CiphersClientServer:     c.config.Ciphers,
		CiphersServerClient:     c.config.Ciphers,
		MACsClientServer:        c.config.MACs,
		MACsServerClient:        c.config.MACs,
		CompressionClientServer: []string{noCompression},
		CompressionServerClient: []string{noCompression},
	}
	if state := c.State(); state.Exchanges > 0 {
		m.HostKeyAlgorithms = []string{state.HostKeyAlgorithm}
	} else {
		m.HostKeyAlgorithms = preferHostKeys(c.config.HostKey, c.config.Addr, m.HostKeyAlgorithms)
		m.KexAlgorithms = append(m.KexAlgorithms, extInfoClient, strictClient)
	}
	rand.Read(m.Cookie[:]) // never fails
	return m
}

// preferHostKeys moves the algorithms of the verifier's keys to the front.
func preferHostKeys(v HostKeyVerifier, addr string, offered []string) []string {
	p, ok := v.(HostKeyPreferrer)
	if !ok {
		return offered
	}
	var list []string
	for _, name := range slices.Concat(p.HostKeyAlgorithms(addr), offered) {
		if slices.Contains(offered, name) && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// maxNames bounds each list of a KEXINIT. Servers have some twenty names in the
// longest one, and OpenSSH looks at no more than 40.
const maxNames = 256

// parseKexInit reads the server's KEXINIT.
func parseKexInit(p []byte) (*kexInitMsg, error) {
	m := new(kexInitMsg)
	if err := ssh.Unmarshal(p, m); err != nil {
		return nil, protocolErrorf("malformed KEXINIT: %v", err)
	}
	for _, list := range [][]string{
		m.KexAlgorithms, m.HostKeyAlgorithms, m.CiphersClientServer, m.CiphersServerClient,
		m.MACsClientServer, m.MACsServerClient, m.CompressionClientServer, m.CompressionServerClient,
		m.LanguagesClientServer, m.LanguagesServerClient,
	} {
		if len(list) > maxNames {
			return nil, protocolErrorf("KEXINIT with a list of %d names, more than %d", len(list), maxNames)
		}
	}
	return m, nil
}

// negotiate applies RFC 4253 section 7.1: the first of the client's names that the
// server has too.
func negotiate(ours, theirs *kexInitMsg) (*algorithms, error) {
	a := new(algorithms)
	for _, n := range []struct {
		kind         string
		to           *string
		ours, theirs []string
	}{
		{"key exchange", &a.kex, ours.KexAlgorithms, theirs.KexAlgorithms},
		{"host key", &a.hostKey, ours.HostKeyAlgorithms, theirs.HostKeyAlgorithms},
		{"cipher client to server", &a.clientCipher, ours.CiphersClientServer, theirs.CiphersClientServer},
		{"cipher server to client", &a.serverCipher, ours.CiphersServerClient, theirs.CiphersServerClient},
		{"compression client to server", new(string), ours.CompressionClientServer, theirs.CompressionClientServer},
		{"compression server to client", new(string), ours.CompressionServerClient, theirs.CompressionServerClient},
		{"MAC client to server", &a.clientMAC, ours.MACsClientServer, theirs.MACsClientServer},
		{"MAC server to client", &a.serverMAC, ours.MACsServerClient, theirs.MACsServerClient},
	} {
		// A cipher that authenticates by itself needs no common MAC. The
		// ciphers stand before the MACs in this list.
		if n.to == &a.clientMAC && packetio.IsAEAD(a.clientCipher) || n.to == &a.serverMAC && packetio.IsAEAD(a.serverCipher) {
			continue
		}
		if *n.to = firstCommon(n.ours, n.theirs); *n.to == "" {
			return nil, &NegotiationError{Kind: n.kind, Ours: slices.Clone(n.ours), Theirs: slices.Clone(n.theirs)}
		}
	}
	a.strict = slices.Contains(ours.KexAlgorithms, strictClient) && slices.Contains(theirs.KexAlgorithms, strictServer)
	// RFC 4253 section 7: the server guessed right only if both lists start
	// with the same names. We never guess.
	a.wrongGuess = theirs.FirstKexFollows &&
		(first(ours.KexAlgorithms) != first(theirs.KexAlgorithms) || first(ours.HostKeyAlgorithms) != first(theirs.HostKeyAlgorithms))
	return a, nil
}

// firstCommon returns the first name that both have, empty without any. Names that only
// signal something are skipped.
func firstCommon(ours, theirs []string) string {
	for _, name := range ours {
		if name != extInfoClient && name != strictClient && slices.Contains(theirs, name) {
			return name
		}
	}
	return ""
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
