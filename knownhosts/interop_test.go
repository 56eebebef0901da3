package knownhosts_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// H9: the hashed names of ssh-keygen -H lead to the same decisions.
func TestHashedNamesOfSSHKeygenAreRecognized(t *testing.T) {
	file := write(t, fmt.Sprintf("Host.Example,10.0.0.1 %[1]s\n[host.example]:2222 %[2]s\n::1 %[1]s c o m m e n t\n",
		text(key("host")), text(key("other"))))
	out, err := exec.Command("ssh-keygen", "-H", "-f", file).CombinedOutput()
	require.NoError(t, err, string(out))
	require.NotContains(t, read(t, file), "example")

	d := load(t, file)
	require.Empty(t, d.Skipped())
	requireKind(t, 0, verify(t, d, "host.example:22", key("host")))
	requireKind(t, 0, verify(t, d, "HOST.example.:22", key("host")))
	requireKind(t, 0, verify(t, d, "10.0.0.1:22", key("host")))
	requireKind(t, 0, verify(t, d, "[::1]:22", key("host")))
	requireKind(t, 0, verify(t, d, "[0:0::1]:22", key("host")))
	requireKind(t, 0, verify(t, d, "host.example:2222", key("other")))
	requireKind(t, knownhosts.Changed, verify(t, d, "host.example:2222", key("host")))
	requireKind(t, knownhosts.Unknown, verify(t, d, "example:22", key("host")))
	require.Equal(t, []string{ssh.KeyAlgoED25519}, d.HostKeyAlgorithms("host.example:22"))
}

// H9: ssh-keygen finds the names that Add has written.
func TestSSHKeygenFindsWhatAddWrote(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	d := load(t, file)
	for _, addr := range []string{"Host.Example.:22", "host.example:2222", "[::1]:22", "[::1]:2222", "[fe80::1%eth0]:22"} {
		require.NoError(t, d.Add(addr, key("host")))
	}
	for _, name := range []string{"host.example", "[host.example]:2222", "::1", "[::1]:2222", "fe80::1%eth0"} {
		require.Len(t, find(t, name, file), 1, name)
	}
	out, err := exec.Command("ssh-keygen", "-l", "-f", file).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, 5, strings.Count(string(out), ssh.FingerprintSHA256(key("host"))))
}

// serveOnce starts a server for one client, who may log in by "none", and returns
// a ProxyCommand that leads to the server. In the end accepted reports whether
// the client has accepted the host key.
func serveOnce(t *testing.T, hostKey ssh.Signer) (proxy string, accepted func() bool) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(hostKey)
	result := make(chan bool, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			result <- false
			return
		}
		defer c.Close()
		_, _, _, err = ssh.NewServerConn(c, config)
		result <- err == nil
	}()
	host, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	// The command ends with its input, although ssh hangs up, and its output ends
	// with the output of the server.
	proxy = fmt.Sprintf(`bash -c 'trap "" HUP; exec 3<>/dev/tcp/%s/%s; cat <&3 & exec >&-; cat <&0 >&3; kill $!'`, host, port)
	return proxy, func() bool {
		listener.Close()
		return <-result
	}
}

// sshConnects reports whether ssh(1) goes on after the server has shown its
// key, and returns the words of ssh(1).
func sshConnects(
	t *testing.T, env []string, file, host, port string, hostKey ssh.Signer, options ...string,
) (accepts bool, says string) {
	t.Helper()
	proxy, accepted := serveOnce(t, hostKey)
	args := []string{"-F", "none", "-p", port}
	for _, o := range append(options, "BatchMode=yes", "UpdateHostKeys=no", "UserKnownHostsFile="+file,
		"GlobalKnownHostsFile=none", "ProxyCommand="+proxy) {
		args = append(args, "-o", o)
	}
	cmd := exec.CommandContext(t.Context(), "ssh", append(args, host, "true")...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.Error(t, err) // the server hangs up at the latest after authentication
	accepts = accepted()
	require.Equal(t, !accepts, strings.Contains(string(out), "Host key verification failed"), string(out))
	return accepts, string(out)
}

// sshJudges is sshConnects for a strict ssh.
func sshJudges(
	t *testing.T, file, host, port string, hostKey ssh.Signer, options ...string,
) (accepts bool, says string) {
	t.Helper()
	return sshConnects(t, nil, file, host, port, hostKey, append(options, "StrictHostKeyChecking=yes")...)
}

// judgement is a decision about a host key of "host.example", given a file.
type judgement struct {
	name, port, file string
	key              ssh.Signer
	want             knownhosts.Kind // 0: accepted
}

// compareWithSSH has ssh(1) itself judge the same keys by the same files.
func compareWithSSH(t *testing.T, judgements []judgement) {
	for _, test := range judgements {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file := write(t, test.file+"\n")
			requireKind(t, test.want, verify(t, load(t, file), "host.example:"+test.port, test.key.PublicKey()))
			accepts, says := sshJudges(t, file, "host.example", test.port, test.key)
			require.Equal(t, test.want == 0, accepts, says)
		})
	}
}

func TestPlainKeysAreJudgedAsBySSH(t *testing.T) {
	host, other, plain := text(key("host")), text(key("other")), signer("host")
	compareWithSSH(t, []judgement{
		{"known", "22", "host.example " + host, plain, 0},
		{"unknown", "22", "elsewhere " + host, plain, knownhosts.Unknown},
		{"changed", "22", "host.example " + other, plain, knownhosts.Changed},
		{"second key", "22", "host.example " + other + "\nhost.example " + host, plain, 0},
		{"other type only", "22", "host.example " + text(ecdsaSigner().PublicKey()), plain, knownhosts.Changed},
		{"revoked first", "22", "@revoked * " + host + "\nhost.example " + host, plain, knownhosts.Revoked},
		{"revoked last", "22", "host.example " + host + "\n@revoked host.example " + host, plain, knownhosts.Revoked},
		{"authority's own key", "22", "@cert-authority * " + host, plain, knownhosts.Unknown},
		{"port has its own", "2222", "[host.example]:2222 " + host + "\nhost.example " + other, plain, 0},
		{"port falls back", "2222", "host.example " + host, plain, 0},
		{"port does not fall back from another key", "2222",
			"[host.example]:2222 " + other + "\nhost.example " + host, plain, knownhosts.Changed},
		{"port with another key for the plain name", "2222", "host.example " + other, plain, knownhosts.Unknown},
		{"port of another line", "22", "[host.example]:2222 " + host, plain, knownhosts.Unknown},
		{"port 22 in brackets", "22", "[host.example]:22 " + host, plain, knownhosts.Unknown},
		{"mistyped marker", "22", "@revokd host.example " + host, plain, knownhosts.Unknown},
		{"two markers", "22", "@cert-authority @revoked host.example " + host, plain, knownhosts.Unknown},
		{"tabs", "22", "host.example\t" + strings.ReplaceAll(host, " ", "\t"), plain, 0},
		{"CRLF", "22", "host.example " + host + "\r", plain, 0},
		{"wrong type", "22", "host.example " + strings.Replace(host, "ssh-ed25519", "ssh-rsa", 1), plain, knownhosts.Unknown},
	})
}

// K26: OpenSSH 9.2 accepts some bad certificates, whose place is
// certificate_test.go.
func TestCertificatesAreJudgedAsBySSH(t *testing.T) {
	ca := signer("ca")
	certified := func(c *ssh.Certificate) ssh.Signer {
		s, err := ssh.NewCertSigner(c, signer("host"))
		require.NoError(t, err)
		return s
	}
	good := certified(certificate(ca, nil))
	expired := certified(certificate(ca, func(c *ssh.Certificate) { c.ValidBefore = c.ValidAfter + 1 }))
	elsewhere := certified(certificate(ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"other"} }))
	withPort := certified(certificate(ca, func(c *ssh.Certificate) {
		c.ValidPrincipals = []string{"[host.example]:2222"}
	}))
	notYet := certified(certificate(ca, func(c *ssh.Certificate) { c.ValidAfter = c.ValidBefore - 1 }))
	forUsers := certified(certificate(ca, func(c *ssh.Certificate) { c.CertType = ssh.UserCert }))
	withOption := certified(certificate(ca, func(c *ssh.Certificate) {
		c.CriticalOptions = map[string]string{"x@example.com": ""}
	}))
	sha1, err := ssh.NewSignerWithAlgorithms(rsaSigner().(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	require.NoError(t, err)
	bySHA1, bySHA2 := certified(certificate(sha1, nil)), certified(certificate(rsaSigner(), nil))
	host, other, authority := text(key("host")), text(key("other")), text(ca.PublicKey())
	rsaAuthority := "@cert-authority * " + text(rsaSigner().PublicKey())
	compareWithSSH(t, []judgement{
		{"certificate", "22", "@cert-authority *.example " + authority, good, 0},
		{"certificate on a port", "2222", "@cert-authority *.example " + authority, good, 0},
		{"certificate on a port with a plain key", "2222",
			"@cert-authority *.example " + authority + "\n[host.example]:2222 " + other, good, 0},
		{"certificate on a named port", "2222", "@cert-authority [*.example]:2222 " + authority, good, 0},
		{"certificate for a name with port", "2222", "@cert-authority * " + authority, withPort, knownhosts.BadCertificate},
		{"certificate for another host", "22", "@cert-authority * " + authority, elsewhere, knownhosts.BadCertificate},
		{"authority of another host", "22", "@cert-authority elsewhere " + authority, good, knownhosts.Unknown},
		{"authority without marker", "22", "host.example " + authority, good, knownhosts.Changed},
		{"not yet valid", "22", "@cert-authority * " + authority, notYet, knownhosts.BadCertificate},
		{"for users", "22", "@cert-authority * " + authority, forUsers, knownhosts.BadCertificate},
		{"critical option", "22", "@cert-authority * " + authority, withOption, knownhosts.BadCertificate},
		{"signed with SHA-2", "22", rsaAuthority, bySHA2, 0},
		{"signed with SHA-1", "22", rsaAuthority, bySHA1, knownhosts.BadCertificate},
		{"expired", "22", "@cert-authority * " + authority, expired, knownhosts.BadCertificate},
		{"expired, but the plain key is known", "22",
			"@cert-authority * " + authority + "\nhost.example " + host, expired, 0},
		{"expired, and the plain key has changed", "22",
			"@cert-authority * " + authority + "\nhost.example " + other, expired, knownhosts.BadCertificate},
		{"unknown authority, but the plain key is known", "22", "host.example " + host, good, 0},
		{"revoked authority", "22", "@cert-authority * " + authority + "\n@revoked * " + authority, good, knownhosts.Revoked},
		{"revoked authority, but the plain key is known", "22",
			"host.example " + host + "\n@revoked * " + authority, good, knownhosts.Revoked},
		{"marker and tabs", "22", strings.ReplaceAll("@cert-authority * "+authority, " ", "\t"), good, 0},
		{"a tab behind the marker, then spaces", "22", "@cert-authority\t* " + authority, good, knownhosts.Unknown},
		{"revoked key in a certificate", "22",
			"@cert-authority * " + authority + "\n@revoked * " + host, good, knownhosts.Revoked},
	})
}

func TestCertificatesOfSSHKeygenAreAccepted(t *testing.T) {
	dir := t.TempDir()
	keygen := func(args ...string) {
		t.Helper()
		cmd := exec.Command("ssh-keygen", append([]string{"-q"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	public := func(file string) ssh.PublicKey {
		k, _, _, _, err := ssh.ParseAuthorizedKey([]byte(read(t, filepath.Join(dir, file))))
		require.NoError(t, err)
		return k
	}
	for keyType, bits := range map[string]string{"ed25519": "256", "ecdsa": "384", "rsa": "2048"} {
		ca, host := "ca_"+keyType, "host_"+keyType
		keygen("-t", keyType, "-b", bits, "-N", "", "-f", ca)
		keygen("-t", keyType, "-b", bits, "-N", "", "-f", host)
		keygen("-s", ca, "-h", "-I", "id", "-n", "host.example,10.0.0.1", "-V", "-1h:+1h", host+".pub")
		d := knownhosts.Parse("f", []byte("@cert-authority * "+text(public(ca+".pub"))+"\n"))
		cert := public(host + "-cert.pub")
		requireKind(t, 0, verify(t, d, "host.example:22", cert))
		requireKind(t, 0, verify(t, d, "10.0.0.1:2222", cert))
		requireKind(t, knownhosts.BadCertificate, verify(t, d, "other.example:22", cert))
	}
	keygen("-s", "ca_rsa", "-t", "ssh-rsa", "-h", "-I", "id", "-n", "host.example", "host_rsa.pub")
	d := knownhosts.Parse("f", []byte("@cert-authority * "+text(public("ca_rsa.pub"))+"\n"))
	err := verify(t, d, "host.example:22", public("host_rsa-cert.pub"))
	requireKind(t, knownhosts.BadCertificate, err) // SHA-1
	require.ErrorContains(t, err, "accepted algorithm")
}

// x/crypto is known to differ about patterns with ports, about lines that
// x/crypto does not load, and about the key of an authority, which x/crypto takes
// for a host key as well. These cases are left out.
func TestDecisionsAreThoseOfXCrypto(t *testing.T) {
	file := write(t, strings.Join([]string{
		"a,b,192.0.2.1 " + text(key("a")),
		"*.wild,!not.wild " + text(key("wild")),
		xknownhosts.HashHostname("hashed") + " " + text(key("hashed")),
		xknownhosts.HashHostname("[hashed]:2222") + " " + text(key("port")),
		xknownhosts.Line([]string{"c:2222", "[::1]:22", "[::1]:2222"}, key("c")),
		"@cert-authority *.example " + text(key("ca")),
		"@revoked * " + text(key("revoked")),
		"revoked " + text(key("revoked")),
	}, "\n"))
	theirs, err := xknownhosts.New(file)
	require.NoError(t, err)
	ours := load(t, file)
	remote := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 22}
	keys := []ssh.PublicKey{
		key("a"), key("wild"), key("hashed"), key("port"), key("c"), key("revoked"), key("other"),
		certificate(signer("ca"), nil), certificate(signer("a"), nil), certificate(signer("revoked"), nil),
		certificate(signer("ca"), func(c *ssh.Certificate) { c.Key = key("revoked") }),
		certificate(signer("ca"), func(c *ssh.Certificate) { c.CertType = ssh.UserCert }),
		certificate(signer("ca"), func(c *ssh.Certificate) { c.ValidAfter = c.ValidBefore }),
	}
	for _, addr := range []string{
		"a:22", "b:22", "192.0.2.1:22", "x.wild:22", "not.wild:22", "hashed:22", "hashed:2222", "c:2222", "[::1]:22",
		"[::1]:2222", "host.example:22", "revoked:22", "nobody:22",
	} {
		for i, k := range keys {
			require.Equal(t, theirs(addr, remote, k) == nil, verify(t, ours, addr, k) == nil, "%s, key %d", addr, i)
		}
	}
}
