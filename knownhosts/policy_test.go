package knownhosts_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// connect is what nacre.Dial does with a verifier.
func connect(t *testing.T, p *knownhosts.Policy, addr string, remote net.Addr, key ssh.PublicKey) error {
	t.Helper()
	if err := p.VerifyHostKey(t.Context(), addr, remote, key); err != nil {
		return err
	}
	return p.LearnHostKey(t.Context(), addr, remote, key)
}

// lines is the content of a file without order.
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

// askpass is a program that answers ssh's questions.
func askpass(t *testing.T, answer string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "askpass")
	require.NoError(t, os.WriteFile(name, []byte("#!/bin/sh\necho '"+answer+"'\n"), 0o700))
	return name
}

// sshDecides has ssh(1) connect to a server with that key. A person that gives an answer is an SSH_ASKPASS.
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

// TestDecisionsAndFilesAreThoseOfSSH is H10, and the table in the documentation of Policy.
func TestDecisionsAndFilesAreThoseOfSSH(t *testing.T) {
	host, other, plain := text(key("host")), text(key("other")), signer("host")
	certified := func(change func(c *ssh.Certificate)) ssh.Signer {
		s, err := ssh.NewCertSigner(certificate(t, signer("ca"), change), plain)
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
			checking       knownhosts.Checking
		}{
			{"yes", "", knownhosts.Strict}, {"accept-new", "", knownhosts.AcceptNew}, {"ask", "", knownhosts.Ask},
			{"ask", "yes", knownhosts.Ask}, {"ask", "no", knownhosts.Ask}, {"ask", ssh.FingerprintSHA256(key("host")), knownhosts.Ask},
		} {
			t.Run(test.name+"/"+mode.strict+" "+mode.answer, func(t *testing.T) {
				t.Parallel()
				ours, theirs := write(t, test.file+"\n"), write(t, test.file+"\n")
				p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, ours)}, Checking: mode.checking}
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

// TestWithoutStrictCheckingWeRefuseWhatSSHDoubts is the last column of the table.
func TestWithoutStrictCheckingWeRefuseWhatSSHDoubts(t *testing.T) {
	for file, want := range map[string]knownhosts.Kind{
		"host.example " + text(key("other")): knownhosts.Changed,
		"@revoked * " + text(key("host")):    knownhosts.Revoked,
	} {
		p := &knownhosts.Policy{Sources: []knownhosts.Source{knownhosts.Parse("f", []byte(file))}, Checking: knownhosts.AcceptNew}
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
	requireKind(t, 0, verify(t, only, "host.example:22", certificate(t, signer("ca"), nil)))
	err := verify(t, only, "host.example:22", key("host"))
	requireKind(t, knownhosts.Unknown, err)
	require.ErrorContains(t, err, "authorities that did not sign it: @cert-authority f:2")
	requireKind(t, knownhosts.Revoked, verify(t, only, "host.example:22", key("revoked")))
	require.NotContains(t, only.HostKeyAlgorithms("host.example:22"), ssh.KeyAlgoED25519)
}

func TestAnAliasStandsForTheHost(t *testing.T) {
	file := write(t, "")
	p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, file)}, Checking: knownhosts.AcceptNew, Alias: "Cluster"}
	require.NoError(t, connect(t, p, "10.0.0.1:2222", nil, key("host")))
	require.Equal(t, "cluster "+text(key("host"))+"\n", read(t, file))
	require.NoError(t, connect(t, p, "10.0.0.2:22", nil, key("host")))
	err := connect(t, p, "10.0.0.3:22", nil, key("other"))
	requireKind(t, knownhosts.Changed, err)
	require.ErrorContains(t, err, `server "10.0.0.3:22" offered`)
	require.ErrorContains(t, err, `looked up as "cluster"`)
	p = &knownhosts.Policy{Sources: []knownhosts.Source{knownhosts.Parse("f", []byte("@cert-authority * "+text(key("ca"))))}}
	requireKind(t, knownhosts.BadCertificate, connect(t, p, "x:22", nil, certificate(t, signer("ca"), nil)))
	p.Alias = "host.example"
	require.NoError(t, connect(t, p, "x:22", nil, certificate(t, signer("ca"), nil)))
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
						Sources: []knownhosts.Source{load(t, ours)}, Checking: knownhosts.AcceptNew, Alias: alias,
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

// TestAddressesAreChecked has what ssh(1) with CheckHostIP does, by its source: on loopback it checks nothing.
func TestAddressesAreChecked(t *testing.T) {
	remote := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22}
	host, other := text(key("host")), text(key("other"))
	for _, test := range []struct {
		name, file string
		checking   knownhosts.Checking
		answer     string
		want       knownhosts.Kind
		added      string
	}{
		{"both known", "host " + host + "\n192.0.2.1 " + host, knownhosts.Strict, "", 0, ""},
		{"address new", "host " + host, knownhosts.Strict, "", 0, "192.0.2.1 " + host},
		{"address changed", "host " + host + "\n192.0.2.1 " + other, knownhosts.AcceptNew, "", knownhosts.AddressChanged, ""},
		{"address changed, yes", "host " + host + "\n192.0.2.1 " + other, knownhosts.Ask, "yes", 0, ""},
		{"address changed, no", "host " + host + "\n192.0.2.1 " + other, knownhosts.Ask, "no", knownhosts.AddressChanged, ""},
		{"both new", "x " + other, knownhosts.AcceptNew, "", 0, "host,192.0.2.1 " + host},
		{"host new", "192.0.2.1 " + host, knownhosts.AcceptNew, "", 0, "host " + host},
		{"host changed", "host " + other + "\n192.0.2.1 " + host, knownhosts.AcceptNew, "", knownhosts.Changed, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := write(t, test.file+"\n")
			p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, file)}, Checking: test.checking, CheckAddress: true}
			p.Prompt, _ = answering(test.answer)
			err := connect(t, p, "host:22", remote, key("host"))
			requireKind(t, test.want, err)
			want := test.file + "\n"
			if test.added != "" {
				want += test.added + "\n"
			}
			require.Equal(t, want, read(t, file))
		})
	}
	plain := write(t, "host "+host+"\n")
	withPort := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, plain)}, CheckAddress: true}
	require.NoError(t, connect(t, withPort, "host:2222", &net.TCPAddr{IP: remote.IP, Port: 2222}, key("host")))
	require.Equal(t, "host "+host+"\n", read(t, plain), "a host found without its port")
	file := write(t, "127.0.0.1 "+other+"\nhost "+host+"\n")
	p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, file)}, CheckAddress: true}
	require.NoError(t, connect(t, p, "host:22", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 22}, key("host")))
	require.NoError(t, connect(t, p, "host:22", &net.UnixAddr{Name: "x"}, key("host")))
}

// TestYesToAHostIsNotYesToAnAddress on which others are.
func TestYesToAHostIsNotYesToAnAddress(t *testing.T) {
	d := knownhosts.Parse("f", []byte("192.0.2.2 "+text(key("other"))))
	p := &knownhosts.Policy{Sources: []knownhosts.Source{d}, Checking: knownhosts.Ask, CheckAddress: true}
	var asked *[]*knownhosts.Question
	p.Prompt, asked = answering("yes")
	verify := func(last byte) error {
		return p.VerifyHostKey(t.Context(), "host:22", &net.TCPAddr{IP: net.IPv4(192, 0, 2, last), Port: 22}, key("host"))
	}
	for range 2 {
		require.NoError(t, verify(1))
		require.Len(t, *asked, 1)
	}
	for range 2 {
		require.NoError(t, verify(2))
		require.Len(t, *asked, 2)
	}
	require.Contains(t, (*asked)[1].Text, "differs from what is on record for its address 192.0.2.2, at: f:1\n")
}

func TestASourceThatIsNilRefuses(t *testing.T) {
	p := &knownhosts.Policy{Sources: []knownhosts.Source{new(knownhosts.DB), nil}, Checking: knownhosts.AcceptNew}
	require.ErrorContains(t, p.VerifyHostKey(t.Context(), "host:22", nil, key("host")), "Policy.Sources[1] is nil")
	require.Nil(t, p.HostKeyAlgorithms("host:22"))
}

func TestAPersonIsAskedOnceForManyConnections(t *testing.T) {
	for _, answer := range []string{"yes", "no"} {
		synctest.Test(t, func(t *testing.T) {
			file := write(t, "")
			var asked atomic.Int32
			release := make(chan struct{})
			p := &knownhosts.Policy{
				Sources: []knownhosts.Source{load(t, file)}, Checking: knownhosts.Ask,
				Prompt: func(context.Context, *knownhosts.Question) (string, error) {
					asked.Add(1)
					<-release
					return answer, nil
				},
			}
			const connections = 20
			errs := make([]error, connections)
			var all sync.WaitGroup
			for i := range connections {
				all.Go(func() {
					if errs[i] = p.VerifyHostKey(t.Context(), "host:22", nil, key("host")); errs[i] == nil {
						errs[i] = p.LearnHostKey(t.Context(), "host:22", nil, key("host"))
					}
				})
			}
			synctest.Wait()
			close(release)
			all.Wait()
			require.EqualValues(t, 1, asked.Load())
			for _, err := range errs {
				require.Equal(t, answer == "yes", err == nil)
			}
			require.Equal(t, answer == "yes", read(t, file) == "host "+text(key("host"))+"\n")
		})
	}
}

// patient marks the context of who will be answered.
type patient struct{}

// TestWhoWaitsForAnAnswerAsksHimself when the first one gives up.
func TestWhoWaitsForAnAnswerAsksHimself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &knownhosts.Policy{
			Sources: []knownhosts.Source{new(knownhosts.DB)}, Checking: knownhosts.Ask,
			Prompt: func(ctx context.Context, _ *knownhosts.Question) (string, error) {
				if ctx.Value(patient{}) != nil {
					return "yes", nil
				}
				<-ctx.Done()
				return "yes", nil // too late
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- p.VerifyHostKey(ctx, "host:22", nil, key("host")) }()
		synctest.Wait()
		go func() {
			second <- p.VerifyHostKey(context.WithValue(t.Context(), patient{}, true), "host:22", nil, key("host"))
		}()
		synctest.Wait()
		cancel()
		err := <-first
		requireKind(t, knownhosts.Unknown, err)
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, <-second)
	})
}

func TestQuestionsAreCleanAndTellWhatIsKnown(t *testing.T) {
	d := knownhosts.Parse("f\x1b[2J", []byte("elsewhere "+text(key("host"))))
	p := &knownhosts.Policy{Sources: []knownhosts.Source{d}, Checking: knownhosts.Ask}
	var asked *[]*knownhosts.Question
	p.Prompt, asked = answering("no")
	err := p.VerifyHostKey(t.Context(), "ho\u202est\a:22", nil, key("host"))
	requireKind(t, knownhosts.Unknown, err)
	require.Empty(t, *asked)
	require.ErrorContains(t, err, "cannot be recorded")

	remote := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22}
	err = p.VerifyHostKey(t.Context(), "host:22", remote, key("host"))
	requireKind(t, knownhosts.Unknown, err)
	require.ErrorContains(t, err, "it was declined")
	require.Len(t, *asked, 1)
	require.Equal(t, remote, (*asked)[0].Remote)
	require.Equal(t, fmt.Sprintf("The authenticity of host host:22 (192.0.2.1:22) can't be established: nothing is on record for host.\n"+
		"ssh-ed25519 key fingerprint is %s.\nThis key is on record for other names, at: f?[2J:1\n"+
		"Are you sure you want to continue connecting (yes/no/[fingerprint])? ", (*asked)[0].Fingerprint), (*asked)[0].Text)
}

func TestOnlyYesNoAndTheFingerprintAreAnswers(t *testing.T) {
	for answer, want := range map[string]string{
		"yes": "", "YES": "", " yes ": "", "fingerprint": "", "no": "declined", "NO": "declined", "": "declined",
		"y": "none of 5 answers", "yes please": "none of 5 answers", "sha256:x": "none of 5 answers", "true": "none of 5 answers",
	} {
		p := &knownhosts.Policy{Sources: []knownhosts.Source{new(knownhosts.DB)}, Checking: knownhosts.Ask}
		p.Prompt, _ = answering(answer)
		err := p.VerifyHostKey(t.Context(), "host:22", nil, key("host"))
		if want == "" {
			require.NoError(t, err, answer)
			continue
		}
		requireKind(t, knownhosts.Unknown, err)
		require.ErrorContains(t, err, want, answer)
	}
}
