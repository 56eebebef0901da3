package userauth_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/transport"
	"github.com/nacre-ssh/nacre/userauth"
)

// mechanism is a GSS-API client with a number of steps. Step n makes the token
// "tn", and fails unless the server's token before was "sn".
type mechanism struct {
	steps   int
	silent  int // the step without a token
	fails   int // the step that fails with an error token
	noMIC   bool
	hangs   chan struct{}
	done    int
	target  string
	covered []byte
	deleted int
}

var errMechanism = errors.New("no ticket for you")

func (m *mechanism) InitSecContext(target string, token []byte, delegate bool) ([]byte, bool, error) {
	m.done++
	m.target = target
	if m.hangs != nil {
		<-m.hangs
	}
	if m.done > 1 && string(token) != "s" || m.done == 1 && token != nil || delegate {
		return nil, false, errors.New("what the server says makes no sense")
	}
	if m.done == m.fails {
		return []byte("why"), false, errMechanism
	}
	if m.done == m.silent {
		return nil, m.done < m.steps, nil
	}
	return []byte{'t', byte('0' + m.done)}, m.done < m.steps, nil
}

func (m *mechanism) GetMIC(covered []byte) ([]byte, error) {
	m.covered = bytes.Clone(covered)
	if m.noMIC {
		return nil, errMechanism
	}
	return []byte("mic"), nil
}

func (m *mechanism) DeleteSecContext() error { m.deleted++; return nil }

// Messages of servers.

func gssResponse(oid string) []byte {
	return ssh.Marshal(struct {
		OID string `sshtype:"60"`
	}{oid})
}

func gssToken(number byte, token string) []byte {
	return append([]byte{number, 0, 0, 0, byte(len(token))}, token...)
}

func gssError(text string) []byte {
	return ssh.Marshal(struct {
		Major          uint32 `sshtype:"64"`
		Minor          uint32
		Text, Language string
	}{0xd0000, 7, text, "en"})
}

const kerberos = "\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"

func TestGSSAPIOnTheWire(t *testing.T) {
	m := &mechanism{steps: 2}
	p := script([][]byte{gssResponse(kerberos)}, [][]byte{gssToken(61, "s")}, nil, [][]byte{success})
	require.NoError(t, authenticate(t, p, userauth.GSSAPIWithMIC(m, "server.example.com")))
	require.Equal(t, "\x32\x00\x00\x00\x03bob\x00\x00\x00\x0essh-connection\x00\x00\x00\x0fgssapi-with-mic"+
		"\x00\x00\x00\x01\x00\x00\x00\x0b"+kerberos, string(p.written[0]))
	require.Equal(t, [][]byte{gssToken(61, "t1"), gssToken(61, "t2"), gssToken(66, "mic")}, p.written[1:])
	require.Equal(t, "host@server.example.com", m.target)
	require.Equal(t, "\x00\x00\x00\x16the session identifier\x32\x00\x00\x00\x03bob\x00\x00\x00\x0essh-connection"+
		"\x00\x00\x00\x0fgssapi-with-mic", string(m.covered))
	require.Equal(t, 1, m.deleted)
}

func TestGSSAPI(t *testing.T) {
	const name = "gssapi-with-mic"
	response, refusal := gssResponse(kerberos), failure(name, "other@example.com")
	for label, tc := range map[string]struct {
		mechanism mechanism
		answers   [][][]byte
		sent      string // the numbers of the messages after the request
		tried     string
		ends      bool // the error ends the login
	}{
		"one step":            {mechanism{steps: 1}, [][][]byte{{response}, nil, {success}}, "=B", "success", false},
		"no last token":       {mechanism{steps: 2, silent: 2}, [][][]byte{{response}, {gssToken(61, "s")}, {success}}, "=B", "success", false},
		"not wanted":          {mechanism{}, [][][]byte{{refusal}}, "", "refused", false},
		"MIC refused":         {mechanism{steps: 1}, [][][]byte{{response}, nil, {refusal}}, "=B", "refused", false},
		"token refused":       {mechanism{steps: 2}, [][][]byte{{response}, {refusal}}, "=", "refused", false},
		"server tells":        {mechanism{steps: 2}, [][][]byte{{response}, {gssError("clock\x1b[2J\nskew"), refusal}}, "=", `refused: GSS-API error 0xd0000, 0x7: "clock[2J skew"`, false},
		"server tells late":   {mechanism{steps: 1}, [][][]byte{{response}, nil, {gssError("skew"), refusal}}, "=B", `refused: GSS-API error 0xd0000, 0x7: "skew"`, false},
		"error token":         {mechanism{steps: 2, fails: 2}, [][][]byte{{response}, {gssToken(65, "s"), refusal}}, "=", "refused: no ticket for you", false},
		"client fails":        {mechanism{fails: 1}, [][][]byte{{response}, nil}, "A", "skipped: the GSS-API client failed: no ticket for you", false},
		"client cannot sign":  {mechanism{steps: 1, noMIC: true}, [][][]byte{{response}}, "", "skipped: the GSS-API client failed: no ticket for you", false},
		"partial":             {mechanism{steps: 1}, [][][]byte{{response}, nil, {partial("other@example.com")}}, "=B", "partial success", false},
		"other mechanism":     {mechanism{steps: 1}, [][][]byte{{gssResponse("\x06\x01\x01")}}, "", "unfinished", true},
		"malformed response":  {mechanism{steps: 1}, [][][]byte{{{60, 0}}}, "", "unfinished", true},
		"malformed token":     {mechanism{steps: 2}, [][][]byte{{response}, {{61, 1}}}, "=", "unfinished", true},
		"malformed error":     {mechanism{steps: 2}, [][][]byte{{response}, {{64, 1}}}, "=", "unfinished", true},
		"malformed ERRTOK":    {mechanism{steps: 2}, [][][]byte{{response}, {{65, 1}}}, "=", "unfinished", true},
		"token after the MIC": {mechanism{steps: 1}, [][][]byte{{response}, nil, {gssToken(61, "s")}}, "=B", "unfinished", true},
		"token first":         {mechanism{steps: 1}, [][][]byte{{gssToken(61, "s")}}, "", "unfinished", true},
	} {
		t.Run(label, func(t *testing.T) {
			m := tc.mechanism
			p := script(append(tc.answers, [][]byte{failure("nothing")})...)
			e := requireError(t, userauth.Authenticate(t.Context(), p, &userauth.Config{
				User: "bob", RequireFactors: 9, Methods: []userauth.Method{userauth.GSSAPIWithMIC(&m, "h"), other{}},
			}))
			require.Equal(t, name+": "+tc.tried, e.Tried[0].String())
			var sent []byte
			for _, packet := range p.written[1:] {
				if packet[0] != 50 {
					sent = append(sent, packet[0])
				}
			}
			require.Equal(t, tc.sent, string(sent))
			require.Equal(t, tc.ends, errors.As(e, new(*userauth.ProtocolError)))
			require.Equal(t, min(1, m.done), m.deleted)
		})
	}
}

func TestGSSAPIWithoutEndIsGivenUp(t *testing.T) {
	for name, packet := range map[string][]byte{"tokens": gssToken(61, "s"), "errors": gssError("")} {
		t.Run(name, func(t *testing.T) {
			first := true
			p := newPeer(func([]byte) [][]byte {
				if first {
					first = false
					return [][]byte{gssResponse(kerberos)}
				}
				return slices.Repeat([][]byte{packet}, 20)
			})
			m := &mechanism{steps: 1000}
			e := requireError(t, authenticate(t, p, userauth.GSSAPIWithMIC(m, "h")))
			require.ErrorContains(t, e, "more than 16 GSS-API "+name)
			require.Equal(t, 1, m.deleted)
		})
	}
}

func TestNoGSSAPIClientIsPassedOver(t *testing.T) {
	p := verdicts(success)
	require.NoError(t, authenticate(t, p, userauth.GSSAPIWithMIC(nil, "h"), other{}))
	require.Equal(t, []string{"other@example.com"}, p.methods(t))
}

func TestContextDoesNotWaitForTheGSSAPIClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mechanism{steps: 1, hangs: make(chan struct{})}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		p := script([][]byte{gssResponse(kerberos)})
		p.hang = true
		err := userauth.Authenticate(ctx, p, &userauth.Config{User: "bob", Methods: []userauth.Method{userauth.GSSAPIWithMIC(m, "h")}})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		close(m.hangs)
		synctest.Wait()
		require.Equal(t, 1, m.deleted, "when it was done")
	})
}

// acceptor is the server half of a mechanism.
type acceptor struct{ steps int }

func (a *acceptor) AcceptSecContext(token []byte) ([]byte, string, bool, error) {
	a.steps--
	if a.steps > 0 {
		return []byte("s"), "bob@EXAMPLE.COM", true, nil
	}
	return nil, "bob@EXAMPLE.COM", false, nil
}

func (a *acceptor) VerifyMIC(covered, mic []byte) error {
	if string(mic) != "mic of "+string(covered) {
		return errMechanism
	}
	return nil
}

func (a *acceptor) DeleteSecContext() error { return nil }

// signing is a mechanism whose MIC has the covered data.
type signing struct{ mechanism }

func (s *signing) GetMIC(covered []byte) ([]byte, error) {
	return append([]byte("mic of "), covered...), nil
}

func TestServerOfXCryptoTakesGSSAPI(t *testing.T) {
	for _, steps := range []int{1, 2, 3} {
		host := sshtest.NewSigner(t, ssh.KeyAlgoED25519)
		config := &ssh.ServerConfig{GSSAPIWithMICConfig: &ssh.GSSAPIWithMICConfig{
			AllowLogin: func(_ ssh.ConnMetadata, name string) (*ssh.Permissions, error) {
				if name != "bob@EXAMPLE.COM" {
					return nil, errMechanism
				}
				return nil, nil
			},
			Server: &acceptor{steps},
		}}
		config.AddHostKey(host)
		near, far := sshtest.Pipe()
		ended := make(chan error, 1)
		go func() {
			_, _, _, err := ssh.NewServerConn(far, config)
			ended <- err
		}()
		c := transport.Client(near, &transport.Config{HostKey: transport.FixedHostKey(host.PublicKey())})
		require.NoError(t, c.Handshake(t.Context()))
		require.NoError(t, userauth.Authenticate(t.Context(), c, &userauth.Config{
			User: "bob", RequireFactors: 1,
			Methods: []userauth.Method{userauth.GSSAPIWithMIC(&signing{mechanism{steps: steps}}, "h")},
		}))
		require.NoError(t, <-ended)
		require.NoError(t, c.Close())
		far.Close()
	}
}
