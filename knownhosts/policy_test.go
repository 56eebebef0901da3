package knownhosts_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// connect makes the calls of nacre.Dial for a verifier.
func connect(t *testing.T, p *knownhosts.Policy, addr string, remote net.Addr, key ssh.PublicKey) error {
	t.Helper()
	if err := p.VerifyHostKey(t.Context(), addr, remote, key); err != nil {
		return err
	}
	return p.LearnHostKey(t.Context(), addr, remote, key)
}

// lines returns the lines of a file without order.
func lines(t *testing.T, file string) []string {
	t.Helper()
	content, err := os.ReadFile(file)
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	l := strings.Split(strings.TrimSpace(string(content)), "\n")
	slices.Sort(l)
	return l
}

// askpass returns the name of a program that answers the questions of ssh.
func askpass(t *testing.T, answer string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "askpass")
	require.NoError(t, os.WriteFile(name, []byte("#!/bin/sh\necho '"+answer+"'\n"), 0o700))
	return name
}

// sshDecides has ssh(1) connect to a server with a host key. An SSH_ASKPASS
// stands for a person who answers.
func sshDecides(t *testing.T, strict, answer, file, port string, hostKey ssh.Signer) bool {
	t.Helper()
	options, env := []string{"StrictHostKeyChecking=" + strict}, []string(nil)
	if answer != "" {
		options = append(options, "BatchMode=no", "NumberOfPasswordPrompts=0")
		env = []string{"SSH_ASKPASS_REQUIRE=force", "SSH_ASKPASS=" + askpass(t, answer)}
	}
	accepts, _ := sshConnects(t, env, file, "host.example", port, hostKey, options...)
	return accepts
}

// H10: the table in the documentation of Policy.
func TestDecisionsAndFilesAreThoseOfSSH(t *testing.T) {
	host, other, plain := text(key("host")), text(key("other")), signer("host")
	certified := func(change func(c *ssh.Certificate)) ssh.Signer {
		s, err := ssh.NewCertSigner(certificate(signer("ca"), change), plain)
		require.NoError(t, err)
		return s
	}
	good := certified(nil)
	expired := certified(func(c *ssh.Certificate) { c.ValidBefore = c.ValidAfter + 1 })
	ca := "@cert-authority * " + text(key("ca"))
	for _, test := range []struct {
		name, port, file string
		key              ssh.Signer
	}{
		{"known", "22", "host.example " + host, plain},
		{"known among others", "22", "host.example " + other + "\nhost.example " + host, plain},
		{"unknown", "22", "elsewhere " + other, plain},
		{"unknown, and known for another name", "22", "elsewhere " + host, plain},
		{"unknown on a port", "2222", "elsewhere " + other, plain},
		{"known without the port", "2222", "host.example " + host, plain},
		{"other without the port", "2222", "host.example " + other, plain},
		{"changed", "22", "host.example " + other, plain},
		{"other type", "22", "host.example " + text(ecdsaSigner().PublicKey()), plain},
		{"pattern", "22", "*.example " + other, plain},
		{"revoked", "22", "@revoked * " + host, plain},
		{"known and revoked", "22", "host.example " + host + "\n@revoked * " + host, plain},
		{"certified", "22", ca, good},
		{"expired certificate", "22", ca, expired},
		{"certificate of an unknown authority", "22", "elsewhere " + other, good},
		{"certificate of an unknown authority, changed", "22", "host.example " + other, good},
		{"plain key instead of a certificate", "22", ca, plain},
		{"revoked authority", "22", ca + "\n@revoked * " + text(key("ca")), good},
	} {
		for _, mode := range []struct {
			strict, answer string
			checking       knownhosts.StrictHostKeyChecking
		}{
			{"yes", "", knownhosts.StrictYes}, {"accept-new", "", knownhosts.StrictAcceptNew}, {"ask", "", knownhosts.StrictAsk},
			{"ask", "yes", knownhosts.StrictAsk}, {"ask", "no", knownhosts.StrictAsk}, {"ask", ssh.FingerprintSHA256(key("host")), knownhosts.StrictAsk},
		} {
			t.Run(test.name+"/"+mode.strict+" "+mode.answer, func(t *testing.T) {
				t.Parallel()
				ours, theirs := write(t, test.file+"\n"), write(t, test.file+"\n")
				p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, ours)}, StrictHostKeyChecking: mode.checking}
				p.Prompt, _ = answering(mode.answer)
				if mode.answer == "" {
					p.Prompt = func(context.Context, *knownhosts.Question) (string, error) { return "", errors.New("nobody there") }
				}
				verdict := sshDecides(t, mode.strict, mode.answer, theirs, test.port, test.key)
				err := connect(t, p, "host.example:"+test.port, nil, test.key.PublicKey())
				require.Equal(t, verdict, err == nil, "%v", err)
				require.Equal(t, lines(t, theirs), lines(t, ours))
			})
		}
	}
}

// H10: the last column of the table.
func TestWithoutStrictCheckingWeRefuseWhatSSHDoubts(t *testing.T) {
	for file, want := range map[string]knownhosts.Kind{
		"host.example " + text(key("other")): knownhosts.Changed,
		"@revoked * " + text(key("host")):    knownhosts.Revoked,
	} {
		p := &knownhosts.Policy{Sources: []knownhosts.Source{knownhosts.Parse("f", []byte(file))}, StrictHostKeyChecking: knownhosts.StrictAcceptNew}
		requireKind(t, want, connect(t, p, "host.example:22", nil, key("host")))
		require.True(t, sshDecides(t, "no", "", write(t, file), "22", signer("host")))
	}
	require.NoError(t, knownhosts.InsecureAcceptAny{}.VerifyHostKey(t.Context(), "host.example:22", nil, key("host")))
}

func TestTheFirstSourceThatKnowsDecides(t *testing.T) {
	first := knownhosts.Parse("first", []byte("a "+text(key("1"))))
	second := knownhosts.Parse("second", []byte("a "+text(key("2"))+"\nb "+text(key("2"))+"\n@revoked * "+text(key("3"))))
	pin, err := knownhosts.Fingerprint(ssh.FingerprintSHA256(key("4")))
	require.NoError(t, err)
	p := &knownhosts.Policy{Sources: []knownhosts.Source{first, second, pin}}
	for _, test := range []struct {
		addr, key string
		want      knownhosts.Kind
	}{
		{"a:22", "1", 0}, {"a:22", "2", knownhosts.Changed}, {"b:22", "2", 0}, {"b:22", "4", knownhosts.Changed},
		{"c:22", "4", 0}, {"a:22", "3", knownhosts.Revoked},
	} {
		requireKind(t, test.want, p.VerifyHostKey(t.Context(), test.addr, nil, key(test.key)))
	}
	require.ErrorAs(t, p.VerifyHostKey(t.Context(), "c:22", nil, key("1")), new(*knownhosts.PinError))
	require.Equal(t, []string{ssh.KeyAlgoED25519}, p.HostKeyAlgorithms("a:22"))
	requireKind(t, knownhosts.Unknown, new(knownhosts.Policy).VerifyHostKey(t.Context(), "a:22", nil, key("1")))

	later := &knownhosts.Policy{Sources: []knownhosts.Source{
		knownhosts.Parse("first", []byte("a "+text(key("1")))), knownhosts.Parse("later", []byte("@revoked * "+text(key("1")))),
	}}
	require.ErrorContains(t, later.VerifyHostKey(t.Context(), "a:22", nil, key("1")), "revoked by @revoked later:1")
}

func TestAuthoritiesAcceptNoPlainKey(t *testing.T) {
	d := knownhosts.Parse("f", []byte("host.example "+text(key("host"))+"\n@cert-authority * "+text(key("ca"))+
		"\n@revoked * "+text(key("revoked"))))
	only := d.Authorities()
	requireKind(t, 0, verify(t, only, "host.example:22", certificate(signer("ca"), nil)))
	err := verify(t, only, "host.example:22", key("host"))
	requireKind(t, knownhosts.Unknown, err)
	require.ErrorContains(t, err, "authorities that did not sign the key: @cert-authority f:2")
	requireKind(t, knownhosts.Revoked, verify(t, only, "host.example:22", key("revoked")))
	require.NotContains(t, only.HostKeyAlgorithms("host.example:22"), ssh.KeyAlgoED25519)
}

func TestAnAliasStandsForTheHost(t *testing.T) {
	file := write(t, "")
	p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, file)}, StrictHostKeyChecking: knownhosts.StrictAcceptNew, HostKeyAlias: "Cluster"}
	require.NoError(t, connect(t, p, "10.0.0.1:2222", nil, key("host")))
	require.Equal(t, "cluster "+text(key("host"))+"\n", read(t, file))
	require.NoError(t, connect(t, p, "10.0.0.2:22", nil, key("host")))
	err := connect(t, p, "10.0.0.3:22", nil, key("other"))
	requireKind(t, knownhosts.Changed, err)
	require.ErrorContains(t, err, `server "10.0.0.3:22" offered`)
	require.ErrorContains(t, err, `looked up as "cluster"`)
	p = &knownhosts.Policy{Sources: []knownhosts.Source{knownhosts.Parse("f", []byte("@cert-authority * "+text(key("ca"))))}}
	requireKind(t, knownhosts.BadCertificate, connect(t, p, "x:22", nil, certificate(signer("ca"), nil)))
	p.HostKeyAlias = "host.example"
	require.NoError(t, connect(t, p, "x:22", nil, certificate(signer("ca"), nil)))
}

func TestAliasesAreThoseOfSSH(t *testing.T) {
	host, other := text(key("host")), text(key("other"))
	for _, file := range []string{
		"alias " + host, "ALIAS " + host, "alias " + other, "host.example " + host, "[host.example]:2222 " + other,
		"[alias]:2222 " + other, "*.example " + other, "@revoked alias " + host, "# nothing",
	} {
		for _, port := range []string{"22", "2222"} {
			for _, alias := range []string{"alias", "Alias"} {
				t.Run(strings.Fields(file)[0]+" "+port+" "+alias, func(t *testing.T) {
					t.Parallel()
					ours, theirs := write(t, file+"\n"), write(t, file+"\n")
					p := &knownhosts.Policy{
						Sources: []knownhosts.Source{load(t, ours)}, StrictHostKeyChecking: knownhosts.StrictAcceptNew, HostKeyAlias: alias,
					}
					verdict, says := sshConnects(t, nil, theirs, "host.example", port, signer("host"),
						"StrictHostKeyChecking=accept-new", "HostKeyAlias="+alias)
					err := connect(t, p, "host.example:"+port, nil, key("host"))
					require.Equal(t, verdict, err == nil, "%v\n%s", err, says)
					require.Equal(t, lines(t, theirs), lines(t, ours))
				})
			}
		}
	}
}

func TestASourceThatIsNilRefuses(t *testing.T) {
	p := &knownhosts.Policy{Sources: []knownhosts.Source{new(knownhosts.DB), nil}, StrictHostKeyChecking: knownhosts.StrictAcceptNew}
	require.ErrorContains(t, p.VerifyHostKey(t.Context(), "host:22", nil, key("host")), "Policy.Sources[1] is nil")
	require.Nil(t, p.HostKeyAlgorithms("host:22"))
}
