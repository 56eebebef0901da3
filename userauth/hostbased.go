package userauth

import (
	"context"
	"slices"

	"golang.org/x/crypto/ssh"
)

// Hostbased has the host that the user comes from vouch for the user, RFC 4252
// section 9. hostName is that host's name, fully qualified, as the server looks
// it up or has it on file, and localUser is the user's name there. The signers
// have keys of that host; they are tried in their order, and sign as those of
// [PublicKeys] do. Servers take this method only where it was set up.
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
		o = &offering{keys: candidates(x, h.signers), blind: true, proof: h.proof}
		x.State = o
	}
	return o.run(ctx, x)
}

// proof returns the payload of a request.
func (h *hostbased) proof(ctx context.Context, x *Exchange, k *candidate) ([]byte, error) {
	payload := ssh.Marshal(hostbasedMsg{Algorithm: k.offered.name, Key: k.blob, HostName: h.host, User: h.user})
	return k.appendSignature(ctx, x, payload)
}
