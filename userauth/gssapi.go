package userauth

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/internal/ctxerr"
)

// maxTokens bounds the tokens that a server may send in one login: Kerberos
// takes one or two.
const maxTokens = 16

// oidKerberos is the mechanism of an ssh.GSSAPIClient, 1.2.840.113554.1.2.2, in
// DER.
var oidKerberos = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02}

// GSSAPIWithMIC proves who the user is by Kerberos, RFC 4462 section 3. target
// is the name of the server's host; client gets the name with "host@" in front.
// Credentials are not delegated. The client serves one login at a time. A client
// that fails or is nil is passed over.
//
// The client is called from a goroutine of its own, so a login whose context
// ends does not wait for the client.
func GSSAPIWithMIC(client ssh.GSSAPIClient, target string) Method {
	return &gssapi{client: client, target: "host@" + target}
}

type gssapi struct {
	client ssh.GSSAPIClient
	target string
	mu     sync.Mutex // held while the client is called
}

func (*gssapi) Name() string { return methodGSSAPI }

func (g *gssapi) Try(ctx context.Context, x *Exchange) (Reply, error) {
	switch {
	case x.State != nil:
		return Reply{}, errUsed
	case g.client == nil:
		return Reply{}, fmt.Errorf("%w: there is no GSS-API client", ErrSkip)
	}
	reply, err := x.Request(ssh.Marshal(gssapiMsg{NumMechanisms: 1, Mechanism: oidKerberos}))
	if err != nil || reply.Status == Failure && !reply.Allows(methodGSSAPI) {
		return reply, err
	}
	x.State = true
	c := &gssapiContext{gssapi: g, ctx: ctx, x: x}
	if reply.number() == msgGSSAPIResponse {
		var msg gssapiResponseMsg
		if ssh.Unmarshal(reply.Packet, &msg) != nil || !bytes.Equal(msg.Mechanism, oidKerberos) {
			return reply, protocolErrorf("GSS-API mechanism was not offered")
		}
		reply, err = c.establish()
	}
	a := outcome(x, Attempt{}, reply, err)
	if c.complaint != nil && a.Err == nil && a.Status == Failure {
		a.Err = c.complaint
	}
	x.Record(a)
	return reply, err
}

// gssapiContext is the security context of a login.
type gssapiContext struct {
	*gssapi
	ctx       context.Context
	x         *Exchange
	complaint error // the server's own report of the failure
}

// establish exchanges tokens until the context is complete, and then proves that
// the context belongs to this connection.
func (c *gssapiContext) establish() (reply Reply, err error) {
	defer func() {
		_, _ = await(c.ctx, func() (struct{}, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return struct{}{}, c.client.DeleteSecContext()
		})
	}()
	var token []byte
	for range maxTokens {
		out, more, err := c.step(token)
		if err != nil {
			return Reply{}, c.giveUp(out, err)
		}
		if !more {
			return c.prove(out)
		}
		if token, reply, err = c.exchange(out); err != nil || token == nil {
			return reply, err
		}
	}
	return Reply{}, protocolErrorf("more than %d GSS-API tokens", maxTokens)
}

// step gives the client the server's token.
func (c *gssapiContext) step(token []byte) (out []byte, more bool, err error) {
	type result struct {
		out  []byte
		more bool
	}
	r, err := await(c.ctx, func() (r result, err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		r.out, r.more, err = c.client.InitSecContext(c.target, token, false)
		return r, err
	})
	return r.out, r.more, err
}

// exchange sends the client's token, if there is a token, and returns the
// server's token, or nil and the server's verdict.
func (c *gssapiContext) exchange(out []byte) (token []byte, reply Reply, err error) {
	if len(out) > 0 {
		reply, err = c.x.Send(ssh.Marshal(gssapiTokenMsg{Token: out}))
	} else {
		reply, err = c.x.Send()
	}
	if err != nil {
		return nil, reply, err
	}
	return c.settle(reply)
}

// settle reads messages up to a token or a verdict. A server may explain a
// failure before the refusal, RFC 4462 sections 3.8 and 3.9.
func (c *gssapiContext) settle(reply Reply) ([]byte, Reply, error) {
	for range maxTokens {
		var err error
		switch reply.number() {
		case msgGSSAPIToken:
			var msg gssapiTokenMsg
			if err := ssh.Unmarshal(reply.Packet, &msg); err != nil {
				return nil, reply, protocolErrorf("malformed GSS-API token")
			}
			return append([]byte{}, msg.Token...), reply, nil
		case msgGSSAPIError:
			err = c.complain(reply.Packet)
		case msgGSSAPIErrTok:
			err = c.takeErrorToken(reply.Packet)
		default:
			return nil, reply, nil
		}
		if err == nil {
			reply, err = c.x.Send()
		}
		if err != nil {
			return nil, reply, err
		}
	}
	return nil, reply, protocolErrorf("more than %d GSS-API errors", maxTokens)
}

// complain keeps the server's explanation of a failure.
func (c *gssapiContext) complain(packet []byte) error {
	var msg gssapiErrorMsg
	if err := ssh.Unmarshal(packet, &msg); err != nil {
		return protocolErrorf("malformed GSS-API error")
	}
	c.complaint = fmt.Errorf("userauth: refused: GSS-API error %#x, %#x: %q", msg.Major, msg.Minor, oneLine(msg.Message))
	return nil
}

// takeErrorToken lets the client read the server's error token.
func (c *gssapiContext) takeErrorToken(packet []byte) error {
	var msg gssapiErrTokMsg
	if err := ssh.Unmarshal(packet, &msg); err != nil {
		return protocolErrorf("malformed GSS-API error token")
	}
	_, _, err := c.step(msg.Token)
	if c.ctx.Err() != nil {
		return ctxerr.Of(c.ctx)
	}
	if err != nil {
		c.complaint = fmt.Errorf("userauth: refused: %w", err)
	}
	return nil
}

// prove sends the client's last token, if any, and in the same flight the MIC
// that binds the context to this connection, RFC 4462 section 3.5.
func (c *gssapiContext) prove(out []byte) (Reply, error) {
	covered := c.x.SignedData(nil)
	mic, err := await(c.ctx, func() ([]byte, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.client.GetMIC(covered)
	})
	if err != nil {
		return Reply{}, c.giveUp(nil, err)
	}
	packets := [][]byte{ssh.Marshal(gssapiMICMsg{MIC: mic})}
	if len(out) > 0 {
		packets = slices.Insert(packets, 0, ssh.Marshal(gssapiTokenMsg{Token: out}))
	}
	reply, err := c.x.Send(packets...)
	if err != nil {
		return reply, err
	}
	token, reply, err := c.settle(reply)
	if err == nil && token != nil {
		err = protocolErrorf("GSS-API token after the context was complete")
	}
	return reply, err
}

// giveUp ends a context with which the client could not go on. An error token of
// the client's is sent first; the server does not answer error tokens, and the
// next request follows, RFC 4462 section 3.9.
func (c *gssapiContext) giveUp(token []byte, err error) error {
	if c.ctx.Err() != nil {
		return ctxerr.Of(c.ctx)
	}
	if len(token) > 0 {
		if err := c.x.Tell(ssh.Marshal(gssapiErrTokMsg{Token: token})); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: the GSS-API client failed: %w", ErrSkip, err)
}
