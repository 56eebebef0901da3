package knownhosts_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/nacre-ssh/nacre/knownhosts"
)

var seed = flag.Uint64("seed", 0, "of the generated files, to see a failure again; 0: another one each time")

// generator writes known_hosts files unlike those of any user.
type generator struct{ *rand.Rand }

func newGenerator(t *testing.T) generator {
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("the files are those of -args -seed=%d", n)
	return generator{rand.New(rand.NewPCG(n, 0))}
}

func pick[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

// places are the addresses that users may want to reach.
var places = []struct{ host, port string }{
	{"host.example", "22"}, {"host.example", "2222"}, {"HOST.Example", "22"}, {"a.host.example", "22"}, {"other", "2222"},
	{"192.0.2.1", "22"}, {"2001:db8::1", "22"}, {"2001:db8::1", "2222"}, {"fe80::1%eth0", "22"},
}

// written returns the name of a place in known_hosts.
func written(host, port string) string {
	host = strings.ToLower(host)
	if port == "22" {
		return host
	}
	return "[" + host + "]:" + port
}

func (g generator) pattern() string {
	place := pick(g, places...)
	name := written(place.host, place.port)
	switch g.IntN(12) {
	case 0:
		name = strings.ToUpper(name)
	case 1: // a part becomes an asterisk
		i := g.IntN(len(name))
		name = name[:i] + "*" + name[i+g.IntN(len(name)-i+1):]
	case 2:
		i := g.IntN(len(name))
		name = name[:i] + "?" + name[i+1:]
	case 3:
		name = pick(g, "*", "?*", "*.example", "192.0.2.*", "[*]:2222", "*:*", "", "[host.example]:22", "host.example:2222", "2001:*", "#", "\"*\"")
	}
	if g.IntN(10) == 0 {
		name = "!" + name
	}
	return name
}

func (g generator) hosts() string {
	if g.IntN(6) == 0 {
		place := pick(g, places...)
		hashed := xknownhosts.HashHostname(written(place.host, place.port))
		if g.IntN(8) == 0 {
			hashed = pick(g, hashed[:len(hashed)-2], hashed+","+hashed, "|2"+hashed[2:], strings.ToLower(hashed), "!"+hashed)
		}
		return hashed
	}
	list := []string{g.pattern()}
	for g.IntN(3) == 0 {
		list = append(list, g.pattern())
	}
	return strings.Join(list, ",")
}

// hostKeys returns the keys in files, which servers show, too.
func hostKeys() []ssh.Signer {
	return []ssh.Signer{signer("a"), signer("b"), ecdsaSigner(), rsaSigner()}
}

func (g generator) line() string {
	switch g.IntN(12) {
	case 0:
		return pick(g, "", " \t", "#", "# host.example", "\r", "garbage", "host.example", "* ssh-ed25519", "\x00", "\xff\xfe")
	case 1:
		return g.damaged()
	}
	k := text(pick(g, hostKeys()...).PublicKey())
	marker := pick(g, "", "", "", "", "", "", "@cert-authority ", "@cert-authority  ", "@revoked ")
	end := pick(g, "", "", "", " comment", "\r", " # c", " \t", "\tc\r", " "+k)
	return pick(g, "", "", "", " ", "\t ") + marker + g.hosts() + pick(g, " ", "\t", " \t ") + k + end
}

// damaged returns a line without sense, or an RSA key under the name of an
// algorithm.
func (g generator) damaged() string {
	k := text(pick(g, hostKeys()...).PublicKey())
	hosts, encoded := g.hosts(), strings.Fields(k)[1]
	return pick(g,
		hosts+" "+k[:len(k)-g.IntN(len(k)-1)-1],
		hosts+" "+k+"!",
		hosts+" ssh-dss "+encoded,
		hosts+" "+encoded,
		hosts+" rsa-sha2-512 "+encoded,
		hosts+","+strings.Repeat("a", 1023)+" "+k,
		"@revokd "+hosts+" "+k,
		"@cert-authority @revoked "+hosts+" "+k,
		"@ "+hosts+" "+k,
	)
}

func (g generator) file() string {
	var lines []string
	for range 1 + g.IntN(8) {
		lines = append(lines, g.line())
		if g.IntN(10) == 0 {
			lines = append(lines, pick(g, lines...))
		}
	}
	// OpenSSH 9.2 reads beyond a last line that ends after the host name, into
	// the rest of the line before.
	return strings.Join(lines, "\n") + pick(g, "\n", "\n\n", "\n# no line feed")
}

// found is a line that ssh-keygen has found for a name.
type found struct{ marker, fingerprint string }

var foundPattern = regexp.MustCompile(`(?m)^# Host .* found: line \d+ ?(\w*)\n.* (SHA256:\S+)`)

// lookup asks ssh-keygen for the lines about a name, and for their keys.
func lookup(t *testing.T, name, file string) (lines []found) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-l", "-F", name, "-f", file).Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil // nothing was found
	}
	require.NoError(t, err)
	for _, m := range foundPattern.FindAllStringSubmatch(string(out), -1) {
		lines = append(lines, found{m[1], m[2]})
	}
	require.Equal(t, strings.Count(string(out), "# Host "), len(lines), string(out))
	return lines
}

// expected judges a key like ssh(1), by the lines for the place and the lines for
// the plain host name, which are the same on port 22. The key may be a
// certificate that is valid for the place.
func expected(own, plain []found, key ssh.PublicKey) knownhosts.Kind {
	holds := func(lines []found, marker string, key ssh.PublicKey) bool {
		for _, l := range lines {
			if l == (found{marker, ssh.FingerprintSHA256(key)}) {
				return true
			}
		}
		return false
	}
	if cert, ok := key.(*ssh.Certificate); ok {
		if holds(own, "REVOKED", cert.SignatureKey) || holds(plain, "REVOKED", cert.SignatureKey) {
			return knownhosts.Revoked
		}
		if certified := holds(own, "CA", cert.SignatureKey) || holds(plain, "CA", cert.SignatureKey); certified &&
			!holds(own, "REVOKED", cert.Key) && !holds(plain, "REVOKED", cert.Key) {
			return 0
		}
		key = cert.Key
	}
	switch {
	case holds(own, "REVOKED", key) || holds(plain, "REVOKED", key):
		return knownhosts.Revoked
	case holds(own, "", key):
		return 0
	}
	for _, l := range own {
		if l.marker == "" {
			return knownhosts.Changed
		}
	}
	if holds(plain, "", key) {
		return 0
	}
	return knownhosts.Unknown
}

// revokedElsewhere reports whether an @revoked line is the reason of a refusal,
// for any host: ssh(1) heeds the line for the hosts on the line only, but the
// manual says never to accept the key.
func revokedElsewhere(content string, err error) bool {
	var refusal *knownhosts.KeyError
	if !errors.As(err, &refusal) || refusal.Kind != knownhosts.Revoked {
		return false
	}
	line := strings.Split(content, "\n")[refusal.Known[0].Number-1]
	return strings.HasPrefix(strings.TrimLeft(line, " \t"), "@revoked") && strings.Contains(line, text(refusal.Known[0].Key))
}

// TestGeneratedFilesAreReadAsBySSHKeygen compares the decision about every key at
// every place with the lines that ssh-keygen finds.
func TestGeneratedFilesAreReadAsBySSHKeygen(t *testing.T) {
	g := newGenerator(t)
	for range 50 {
		content := g.file()
		file := write(t, content)
		d := load(t, file)
		for range 5 {
			place := pick(g, places...)
			own := lookup(t, written(place.host, place.port), file)
			plain := own
			if place.port != "22" {
				plain = lookup(t, written(place.host, "22"), file)
			}
			for _, k := range g.shown(t, place.host) {
				err := verify(t, d, net.JoinHostPort(place.host, place.port), k.PublicKey())
				if !revokedElsewhere(content, err) {
					require.Equal(t, expected(own, plain, k.PublicKey()), kind(err), "%v, %v: %v\n%s", place, own, err, content)
				}
			}
		}
	}
}

// kind returns the kind of a refusal; 0 is no refusal.
func kind(err error) knownhosts.Kind {
	var refusal *knownhosts.KeyError
	if errors.As(err, &refusal) {
		return refusal.Kind
	}
	return 0
}

// shown returns the keys that a server may show: all keys in the files, a
// stranger, and certificates.
func (g generator) shown(t *testing.T, host string) []ssh.Signer {
	shown := append([]ssh.Signer{signer("stranger")}, hostKeys()...)
	for _, k := range []ssh.Signer{signer("a"), signer("stranger")} {
		c := certificate(pick(g, hostKeys()...), func(c *ssh.Certificate) {
			// Lower case, because capitals make another name for OpenSSH 9.2.
			c.Key, c.ValidPrincipals = k.PublicKey(), []string{strings.ToLower(host)}
		})
		s, err := ssh.NewCertSigner(c, k)
		require.NoError(t, err)
		shown = append(shown, s)
	}
	return shown
}

// onlyOtherTypes reports whether all keys on record are of other types than the
// refused key.
func onlyOtherTypes(err error) bool {
	var refusal *knownhosts.KeyError
	if !errors.As(err, &refusal) || refusal.Kind != knownhosts.Changed {
		return false
	}
	shown := refusal.Key
	if cert, ok := shown.(*ssh.Certificate); ok {
		shown = cert.Key
	}
	for _, l := range refusal.Known {
		if l.Key.Type() == shown.Type() {
			return false
		}
	}
	return true
}

// TestGeneratedFilesAreJudgedAsBySSH has ssh(1) itself judge some keys by the
// files.
func TestGeneratedFilesAreJudgedAsBySSH(t *testing.T) {
	g := newGenerator(t)
	for i := range 50 {
		content, place := g.file(), pick(g, places...)
		k := pick(g, g.shown(t, place.host)...)
		if g.IntN(2) == 0 { // most files know nothing of the place
			content = written(place.host, place.port) + " " + text(pick(g, hostKeys()...).PublicKey()) + "\n" + content
		}
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			file := write(t, content)
			err := verify(t, load(t, file), net.JoinHostPort(place.host, place.port), k.PublicKey())
			accepts, says := sshJudges(t, file, place.host, place.port, k)
			want := knownhosts.Unknown
			switch {
			case accepts:
				want = 0
			case strings.Contains(says, "REVOKED HOST KEY DETECTED"), strings.Contains(says, "is marked as revoked"):
				want = knownhosts.Revoked
			case strings.Contains(says, "REMOTE HOST IDENTIFICATION HAS CHANGED"):
				want = knownhosts.Changed
			default:
				require.Contains(t, says, "host key is known for")
				if onlyOtherTypes(err) {
					want = knownhosts.Changed // an attacker can choose the type
				}
			}
			if accepts && place.port != "22" && kind(err) == knownhosts.Changed {
				// ssh(1) would have refused the plain key. But after the search
				// for an authority of the certificate ssh(1) looks for the plain
				// key once more, and forgets the key of the name with the port.
				require.IsType(t, (*ssh.Certificate)(nil), k.PublicKey())
				return
			}
			if !revokedElsewhere(content, err) {
				require.Equal(t, want, kind(err), "%s at %v: %v\n%s\n%s", text(k.PublicKey()), place, err, content, says)
			}
		})
	}
}
