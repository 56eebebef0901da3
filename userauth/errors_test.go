package userauth_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/nacre-ssh/nacre/sshtest"
	"github.com/nacre-ssh/nacre/userauth"
)

// failing is a login that fails, and the line of the error. Keys are written A, B
// and so on.
type failing struct {
	server  func(t *testing.T) userauth.Transport
	methods []userauth.Method
	want    string
}

// bob returns the account of these tests.
func bob() *sshtest.Account { return &sshtest.Account{Name: "bob", Password: "sesame"} }

func sshd(account *sshtest.Account, config ...string) func(*testing.T) userauth.Transport {
	return func(t *testing.T) userauth.Transport {
		return connect(t, sshtest.OpenSSH(t, &sshtest.DaemonOptions{
			Account: account, Config: config, AuthorizedKeys: []ssh.PublicKey{seededSigner(t, 7).PublicKey()},
		}))
	}
}

// answering is a server that gives the nth request or message the nth answer.
func answering(answers ...[]byte) func(*testing.T) userauth.Transport {
	return func(*testing.T) userauth.Transport { return verdicts(answers...) }
}

// certified returns a signer with a certificate of the future.
func certified(t *testing.T, ca, key ssh.Signer) ssh.Signer {
	cert := &ssh.Certificate{
		Key: key.PublicKey(), CertType: ssh.UserCert, KeyId: "to\x1bmorrow", ValidPrincipals: []string{"bob", "alice"},
		ValidAfter:  uint64(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).Unix()),
		ValidBefore: uint64(time.Date(2200, 1, 2, 0, 0, 0, 0, time.UTC).Unix()),
		Permissions: ssh.Permissions{CriticalOptions: map[string]string{"source-address": "10.0.0.0/8", "force-command": "true"}},
	}
	require.NoError(t, cert.SignCert(rand.Reader, ca))
	signer, err := ssh.NewCertSigner(cert, key)
	require.NoError(t, err)
	return signer
}

func TestWhatAnOperatorReads(t *testing.T) {
	var keys [8]ssh.Signer
	var letters []string
	for i := range keys {
		keys[i] = seededSigner(t, byte(i))
		letters = append(letters, userauth.KeyName(keys[i].PublicKey()), string(rune('A'+i)))
	}
	known := keys[7]
	ca := seededSigner(t, 99)
	cert := sshtest.NewCertSigner(t, ca, keys[0], ssh.UserCert, "somebody")
	letters = append(letters, userauth.KeyName(cert.PublicKey()), "certificate of A")
	wrong := userauth.Password("wrong")
	refusing := fakeSigner{keys[0].PublicKey(), func([]byte, string) (*ssh.Signature, error) {
		return nil, errors.New("agent refused operation")
	}}
	broken := brokenAgent{signers: func() ([]ssh.Signer, error) { return nil, errors.New("dial unix /run/agent: connection refused") }}
	noTerminal := userauth.PasswordFunc(func(context.Context, int) (string, error) { return "", errors.New("there is no terminal") })
	for name, tc := range map[string]failing{
		"wrong key": {sshd(bob()), []userauth.Method{userauth.PublicKeys(keys[0])},
			`publickey A: refused; the server allows "publickey,password,keyboard-interactive" (not configured: "password,keyboard-interactive")`},
		"wrong keys": {sshd(bob()), []userauth.Method{userauth.PublicKeys(keys[:3]...)},
			`publickey A, B, C: refused; the server allows "publickey,password,keyboard-interactive" (not configured: "password,keyboard-interactive")`},
		"wrong password": {sshd(bob()), []userauth.Method{wrong},
			`password: refused; the server allows "publickey,password,keyboard-interactive" (not configured: "publickey")`},
		"wrong everything": {sshd(bob()), []userauth.Method{userauth.PublicKeys(keys[:2]...), wrong, says("wrong", "wrong", "wrong")},
			`publickey A, B: refused; password: refused; keyboard-interactive "Password:": refused, 2 times; keyboard-interactive "Password:": unfinished; the server allows "publickey,password,keyboard-interactive"; ended by transport: connection ended: server disconnected, reason 2: "Too many authentication failures" after 6 refusals, the server's limit (MaxAuthTries)`},
		"three wrong passwords": {sshd(bob()), []userauth.Method{userauth.PasswordFunc(constant("wrong"))},
			`password: refused, 2 times; password: refused: the server does not allow the method at this point; the server allows "publickey" (none is configured)`},
		"wrong one-time code": {sshd(bob(), "PasswordAuthentication no"), []userauth.Method{says("000000")},
			`keyboard-interactive "Password:": refused; keyboard-interactive "Password:": skipped; the server allows "publickey,keyboard-interactive" (not configured: "publickey")`},
		"no passwords here": {sshd(nil), []userauth.Method{userauth.PublicKeys(keys[0]), wrong},
			`publickey A: refused; password: skipped: the server does not allow the method; the server allows "publickey"`},
		"second factor missing": {sshd(bob(), "AuthenticationMethods publickey,keyboard-interactive:pam"), []userauth.Method{userauth.PublicKeys(known)},
			`publickey H: partial success; the server allows "keyboard-interactive" (none is configured)`},
		"second factor wrong": {sshd(bob(), "AuthenticationMethods publickey,password"), []userauth.Method{userauth.PublicKeys(known), wrong},
			`publickey H: partial success; password: refused; the server allows "password"`},
		"two tries and six keys": {sshd(bob(), "MaxAuthTries 2"), []userauth.Method{userauth.PublicKeys(keys[:6]...), wrong},
			`publickey A: refused; publickey B: unfinished; never tried: publickey C, D, E, F, password; the server allows "publickey,password,keyboard-interactive"; ended by transport: connection ended: server disconnected, reason 2: "Too many authentication failures" after 2 refusals, the server's limit (MaxAuthTries): offer the right key first, or no other (IdentitiesOnly)`},
		"two tries and a password": {sshd(bob(), "MaxAuthTries 2"), []userauth.Method{userauth.PasswordFunc(constant("wrong")), userauth.PublicKeys(known)},
			`password: refused; password: unfinished; never tried: publickey; the server allows "publickey,password,keyboard-interactive"; ended by transport: connection ended: server disconnected, reason 2: "Too many authentication failures" after 2 refusals, the server's limit (MaxAuthTries)`},
		"two tries, and none first": {sshd(bob(), "MaxAuthTries 2"), []userauth.Method{userauth.None(), userauth.PublicKeys(keys[:3]...)},
			`none: refused; publickey A: refused; publickey B: unfinished; never tried: publickey C; the server allows "publickey,password,keyboard-interactive" (not configured: "password,keyboard-interactive"); ended by transport: connection ended: server disconnected, reason 2: "Too many authentication failures" after 2 refusals, the server's limit (MaxAuthTries): offer the right key first, or no other (IdentitiesOnly)`},
		"certificate of later": {sshd(bob()), []userauth.Method{userauth.PublicKeys(certified(t, ca, keys[0]))},
			`publickey certificate of A: refused: certificate "to\x1bmorrow" for "bob,alice", valid from 2200-01-01T00:00:00Z, valid until 2200-01-02T00:00:00Z, restricted by "force-command,source-address"; the server allows "publickey,password,keyboard-interactive" (not configured: "password,keyboard-interactive")`},
		"files with long names": {answering(failure("publickey")), []userauth.Method{userauth.PublicKeysFunc(func(context.Context) ([]ssh.Signer, error) {
			return nil, fmt.Errorf("%w: %s: what to do", userauth.ErrSkip, strings.Repeat("/directory", 40))
		})}, `publickey: skipped: ` + strings.Repeat("/directory", 40) + `: what to do`},
		"certificate for somebody else": {sshd(bob()), []userauth.Method{userauth.PublicKeys(cert)},
			`publickey certificate of A: refused: certificate "sshtest" for "somebody"; the server allows "publickey,password,keyboard-interactive" (not configured: "password,keyboard-interactive")`},
		"host that is not trusted": {sshd(bob(), "HostbasedAuthentication yes"), []userauth.Method{userauth.Hostbased("client.example.com", "bob", keys[0])},
			`hostbased A: refused; the server allows "publickey,password,keyboard-interactive,hostbased" (not configured: "publickey,password,keyboard-interactive")`},
		"host where none is taken": {sshd(bob()), []userauth.Method{userauth.None(), userauth.Hostbased("client.example.com", "bob", keys[0])},
			`none: refused; hostbased: skipped: the server does not allow the method; the server allows "publickey,password,keyboard-interactive" (none is configured)`},
		"dropbear and many keys": {func(t *testing.T) userauth.Transport { return connect(t, startDropbear(t)) }, []userauth.Method{userauth.PublicKeys(keys[:3]...)},
			`publickey A, B, C: refused; the server allows "publickey"`},
		"x/crypto's server and six keys": {func(t *testing.T) userauth.Transport {
			return connect(t, sshtest.NewServer(t, &sshtest.Options{User: "bob", MaxAuthTries: 2}))
		}, []userauth.Method{userauth.PublicKeys(keys[:6]...)},
			`publickey A: refused; publickey B: unfinished; never tried: publickey C, D, E, F; the server allows "password,publickey" (not configured: "password"); ended by transport: connection ended: server disconnected, reason 2: "too many authentication failures" after 2 refusals, the server's limit (MaxAuthTries): offer the right key first, or no other (IdentitiesOnly)`},
		"no agent": {answering(failure("publickey")), []userauth.Method{userauth.Agent(nil)},
			`publickey: skipped: there is no agent`},
		"empty agent": {answering(failure("publickey")), []userauth.Method{userauth.Agent(agent.NewKeyring())},
			`publickey: skipped: the agent has no keys`},
		"broken agent": {answering(failure("publickey")), []userauth.Method{userauth.Agent(broken), userauth.PublicKeys(keys[1])},
			`publickey: skipped: the agent failed: dial unix /run/agent: connection refused; publickey B: refused; the server allows "publickey"`},
		"signer that refuses": {answering(failure("publickey")), []userauth.Method{userauth.PublicKeys(refusing)},
			`publickey A: signer: agent refused operation`},
		"no keys": {answering(), []userauth.Method{userauth.PublicKeys()},
			`publickey: skipped: no key to offer`},
		"nothing is allowed": {answering(failure()), []userauth.Method{userauth.None(), wrong},
			`none: refused; password: skipped: the server does not allow the method; the server allows no method`},
		"demand": {answering(demand("Your password\nhas expired.")), []userauth.Method{wrong, userauth.PublicKeys(keys[0])},
			`password "Your password has expired.": unfinished; never tried: publickey; ended by password: the password has expired: "Your password has expired.": use PasswordChange to set a new one`},
		"change refused": {answering(demand("Expired."), failure("password")), []userauth.Method{userauth.PasswordChange(constant("sesame"), func(context.Context, int, string) (string, error) { return "fresh", nil })},
			`password "Expired.": refused; the server allows "password"`},
		"code beside password": {answering(failure("keyboard-interactive"), infoRequest("", "", "Password: "), infoRequest("", "", "Verification code: ")), []userauth.Method{wrong},
			`password: refused: the server does not allow the method at this point; keyboard-interactive "Password: / Verification code:": skipped: the server asks for more than a password; the server allows "keyboard-interactive"`},
		"shown prompt": {answering(failure("keyboard-interactive"), infoRequest("", "", "Login!")), []userauth.Method{wrong},
			`password: refused: the server does not allow the method at this point; keyboard-interactive "Login!": skipped: the server asks for more than a password; the server allows "keyboard-interactive"`},
		"hostile prompt": {answering(infoRequest("", "", "Pass\x1b[2Jword\r\n\u202efor \u009b"+strings.Repeat("x", 300)), failure("keyboard-interactive")), []userauth.Method{says("wrong")},
			`keyboard-interactive "Pass[2Jword for xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": refused; keyboard-interactive: unfinished; the server allows "keyboard-interactive"; ended by connection reset after 1 refusal`},
		"lost connection": {answering(failure("publickey", "password")), []userauth.Method{userauth.PublicKeys(keys[:2]...), wrong},
			`publickey A: refused; publickey B: unfinished; never tried: password; the server allows "publickey,password"; ended by connection reset after 1 refusal`},
		"no terminal": {answering(), []userauth.Method{noTerminal},
			`password: unfinished; ended by password: there is no terminal`},
		"protocol broken": {answering([]byte{90}), []userauth.Method{wrong},
			`password: unfinished; ended by protocol error: message 90 during authentication`},
		"Kerberos": {func(*testing.T) userauth.Transport {
			return script([][]byte{gssResponse(kerberos)}, [][]byte{gssError("Clock skew too great"), failure("gssapi-with-mic")})
		}, []userauth.Method{userauth.GSSAPIWithMIC(&mechanism{steps: 2}, "h")},
			`gssapi-with-mic: refused: GSS-API error 0xd0000, 0x7: "Clock skew too great"; the server allows "gssapi-with-mic"`},
		"Kerberos, no ticket": {answering(gssResponse(kerberos)), []userauth.Method{userauth.GSSAPIWithMIC(&mechanism{fails: 3, steps: 1, noMIC: true}, "h")},
			`gssapi-with-mic: skipped: the GSS-API client failed: no ticket for you`},
	} {
		t.Run(name, func(t *testing.T) {
			config := &userauth.Config{User: "bob", Methods: tc.methods}
			e := requireError(t, userauth.Authenticate(t.Context(), tc.server(t), config))
			got := strings.NewReplacer(letters...).Replace(e.Error())
			got = strings.TrimPrefix(got, `userauth: user "bob" not authenticated: `)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestThePrefixIsPrintedOnce(t *testing.T) {
	e := requireError(t, authenticate(t, verdicts([]byte{90}), other{}))
	require.Equal(t, "userauth: protocol error: message 90 during authentication", e.Err.Error())
	e = requireError(t, authenticate(t, verdicts(infoRequest("", "", "one")[:9]), userauth.KeyboardInteractive(nil)))
	require.Equal(t, "userauth: keyboard-interactive: protocol error: malformed challenge", e.Err.Error())
	require.Equal(t, 1, strings.Count(e.Error(), "userauth: "))
	require.ErrorAs(t, e, new(*userauth.ProtocolError))
}
