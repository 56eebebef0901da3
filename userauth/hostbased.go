package userauth

import (
	"context"
	"slices"

	"golang.org/x/crypto/ssh"
)

// Hostbased lets the client's host vouch for the user, RFC 4252 section 9.
// hostName is the fully qualified name of the client's host, as the server looks
// the host up or has the host on file, and localUser is the user's name there.
// The signers have keys of the client's host; the keys are tried in order, and
// sign as the signers of [PublicKeys] do. Servers take this method only where
// hostbased authentication was set up.
func Hostbased(hostName, localUser string, signers ...ssh.Signer) Method {
	return &hostbased{hostName, localUser, slices.Clone(signers)}
}

type hostbased struct {
	host, user string
	signers    []ssh.Signer
}

func (*hostbased) Name() string { return methodHostbased }

func (h *hostbased) Try(ctx context.Context, x *Exchange) (Reply, error) {
	o, ok := x.State.(*offering)
	if !ok {
		o = &offering{keys: candidates(x, h.signers), noProbes: true, proof: h.proof}
		x.State = o
	}
	return o.run(ctx, x)
}

// proof returns the payload of a request.
func (h *hostbased) proof(ctx context.Context, x *Exchange, k *candidate) ([]byte, error) {
	payload := ssh.Marshal(hostbasedMsg{Algorithm: k.offered.Name, Key: k.blob, HostName: h.host, User: h.user})
	return k.appendSignature(ctx, x, payload)
}
