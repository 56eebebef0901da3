package userauth_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

// hostRequest is the payload of a hostbased request.
type hostRequest struct {
	Algorithm string
	Key       []byte
	HostName  string
	User      string
	Signature []byte
}

func TestHostbasedOnTheWire(t *testing.T) {
	host := ed25519Signer(t)
	p := verdicts(success)
	require.NoError(t, authenticate(t, p, userauth.Hostbased("h.example.com.", "robert", host)))
	var fields hostRequest
	require.NoError(t, ssh.Unmarshal(p.requests(t)[0].Payload, &fields))
	require.Equal(t, []string{"hostbased"}, p.methods(t))
	require.Equal(t, hostRequest{"ssh-ed25519", host.PublicKey().Marshal(), "h.example.com.", "robert", fields.Signature}, fields)
	var signature ssh.Signature
	require.NoError(t, ssh.Unmarshal(fields.Signature, &signature))
	signed := "\x00\x00\x00\x16the session identifier" + string(p.written[0][:len(p.written[0])-4-len(fields.Signature)])
	require.NoError(t, host.PublicKey().Verify([]byte(signed), &signature))
}

func TestHostbasedTriesEachKeyOnce(t *testing.T) {
	first, second := ed25519Signer(t), ecdsaSigner(t)
	broken := fakeSigner{ed25519Signer(t).PublicKey(), func([]byte, string) (*ssh.Signature, error) {
		return nil, errors.New("no ssh-keysign")
	}}
	for name, tc := range map[string]struct {
		signers []ssh.Signer
		answers [][]byte
		want    []string // the attempts
		in      bool
	}{
		"second key":       {[]ssh.Signer{first, second}, [][]byte{failure("hostbased"), success}, []string{"refused", "success"}, true},
		"no key":           {nil, nil, []string{"skipped: no key to offer"}, false},
		"signer fails":     {[]ssh.Signer{broken, first}, [][]byte{success}, []string{"signer: no ssh-keysign", "success"}, true},
		"not allowed":      {[]ssh.Signer{first, second}, [][]byte{failure("password")}, []string{"refused: the server does not allow the method at this point"}, false},
		"partial, refused": {[]ssh.Signer{first, second}, [][]byte{partial("hostbased"), failure("hostbased")}, []string{"partial success", "refused"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := verdicts(tc.answers...)
			var tried []string
			err := userauth.Authenticate(t.Context(), p, &userauth.Config{
				User: "bob", Methods: []userauth.Method{userauth.Hostbased("h", "u", tc.signers...)},
				Trace: func(a userauth.Attempt) {
					a.Key = nil
					tried = append(tried, a.String()[len("hostbased: "):])
				},
			})
			require.Equal(t, tc.in, err == nil)
			require.Equal(t, tc.want, tried)
			require.Len(t, p.written, len(tc.answers))
		})
	}
}

func TestHostbasedSignsWithSHA2(t *testing.T) {
	signer := rsaSigner(t)
	var p *peer
	p = newPeer(func([]byte) [][]byte {
		if len(p.written) == 1 {
			p.extensions["server-sig-algs"] = []byte("rsa-sha2-256")
			return [][]byte{failure("hostbased")}
		}
		return [][]byte{success}
	})
	require.NoError(t, authenticate(t, p, userauth.Hostbased("h", "u", signer)))
	var algorithms []string
	for _, r := range p.requests(t) {
		var fields hostRequest
		require.NoError(t, ssh.Unmarshal(r.Payload, &fields))
		algorithms = append(algorithms, fields.Algorithm)
	}
	require.Equal(t, []string{"rsa-sha2-512", "rsa-sha2-256"}, algorithms)
}

func TestKeyThatIsRefusedOfAHostIsOfferedAsTheUsers(t *testing.T) {
	key := seededSigner(t, 1)
	p := verdicts(failure("publickey", "hostbased"), success)
	require.NoError(t, authenticate(t, p, userauth.Hostbased("h", "u", key), userauth.PublicKeys(key)))
	require.Equal(t, []string{"hostbased", "publickey"}, p.methods(t))
}
