package userauth_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/userauth"
)

// FuzzServer lets a script play the server in a login with all methods. Only a
// success message that answers a request grants access.
func FuzzServer(f *testing.F) {
	first, second, third := seededSigner(f, 1), seededSigner(f, 2), seededSigner(f, 3)
	ok := keyOK("ssh-ed25519", first.PublicKey().Marshal())
	all := failure("none", "publickey", "password", "keyboard-interactive", "gssapi-with-mic", "hostbased")
	f.Add(framed(success))
	f.Add(framed(banner("hello"), all, ok, success))
	f.Add(framed(all, all, all, infoRequest("n", "i", "p", "q!"), all, infoRequest("", ""), success))
	f.Add(framed(partial("publickey"), ok, partial("keyboard-interactive"), infoRequest("", "x"), partial("password"), all))
	f.Add(framed(all, all, all, all, []byte{60, 0, 0, 0, 1, 'p', 0, 0, 0, 0}))
	f.Add(framed(all, ok, banner("hello"), all, success, all))
	f.Add(framed(failure("keyboard-interactive"), infoRequest("", "", "p"), failure("gssapi-with-mic"), gssResponse(kerberos),
		gssToken(61, "s"), gssError("x"), gssToken(65, "s"), failure("hostbased"), partial("password"), demand("x"), demand("y"), success))
	f.Add(framed([]byte{52, 1}, []byte{94}, []byte{51, 0xff, 0xff, 0xff, 0xff}))
	f.Fuzz(func(t *testing.T, script []byte) {
		packets := unframed(script)
		granted := false
		p := newPeer(func(packet []byte) (answer [][]byte) {
			// An answer, and the banners in front.
			for packet[0] < 80 && len(packets) > 0 {
				next := packets[0]
				packets = packets[1:]
				answer = append(answer, next)
				granted = granted || bytes.Equal(next, success)
				if len(next) == 0 || next[0] != 53 {
					break
				}
			}
			return answer
		})
		early := &userauth.Early{Packets: func() [][]byte { return [][]byte{channelOpen} }}
		err := userauth.Authenticate(t.Context(), p, &userauth.Config{
			User: "bob",
			Methods: []userauth.Method{
				userauth.None(),
				userauth.PublicKeys(first, second, third),
				userauth.KeyboardInteractive(func(_ context.Context, c userauth.Challenge) ([]string, error) {
					return make([]string, len(c.Prompts)), nil
				}),
				userauth.PasswordChange(constant("sesame"), func(context.Context, int, string) (string, error) { return "sesame2", nil }),
				userauth.GSSAPIWithMIC(&mechanism{steps: 2}, "h"),
				userauth.Hostbased("h", "u", third),
				token("ticket"),
			},
			Probes: 2,
			Early:  early,
			Banner: func(text string) {
				require.LessOrEqual(t, len(text), 16<<10)
				require.NotContains(t, text, "\x1b")
			},
		})
		requests := len(p.requests(t))
		require.LessOrEqual(t, requests, 64)
		if early.Outcome == userauth.EarlyUncertain || early.Outcome == userauth.EarlyGranted {
			require.Equal(t, channelOpen, p.written[len(p.written)-1])
		}
		if early.Outcome == userauth.EarlyGranted {
			require.NoError(t, err)
		}
		if err == nil {
			require.True(t, granted)
			require.Positive(t, requests)
			require.NotEqual(t, userauth.EarlyUncertain, early.Outcome)
			return
		}
		require.NotContains(t, requireError(t, err).Error(), "sesame")
	})
}

// FuzzPublicKeyOK is about the only message with a key.
func FuzzPublicKeyOK(f *testing.F) {
	first, second := seededSigner(f, 1), seededSigner(f, 2)
	f.Add("ssh-ed25519", first.PublicKey().Marshal())
	f.Add("ssh-rsa", []byte(nil))
	f.Fuzz(func(t *testing.T, algorithm string, blob []byte) {
		p := verdicts(keyOK(algorithm, blob), success)
		require.NoError(t, authenticate(t, p, userauth.PublicKeys(first, second)))
		accepted := algorithm == ssh.KeyAlgoED25519 && bytes.Equal(blob, first.PublicKey().Marshal())
		want := second
		if accepted {
			want = first
		}
		requireSignature(t, p.written[1], want.PublicKey())
	})
}
