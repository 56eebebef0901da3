package knownhosts_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/knownhosts"
)

// The rows are decisions of ssh(1) with CheckHostIP, by its source: ssh(1) checks
// nothing on loopback.
func TestAddressesAreChecked(t *testing.T) {
	remote := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22}
	host, other := text(key("host")), text(key("other"))
	for _, test := range []struct {
		name, file string
		checking   knownhosts.StrictHostKeyChecking
		answer     string
		want       knownhosts.Kind
		added      string
	}{
		{"both known", "host " + host + "\n192.0.2.1 " + host, knownhosts.StrictYes, "", 0, ""},
		{"address new", "host " + host, knownhosts.StrictYes, "", 0, "192.0.2.1 " + host},
		{"address changed", "host " + host + "\n192.0.2.1 " + other, knownhosts.StrictAcceptNew, "", knownhosts.AddressChanged, ""},
		{"address changed, yes", "host " + host + "\n192.0.2.1 " + other, knownhosts.StrictAsk, "yes", 0, ""},
		{"address changed, no", "host " + host + "\n192.0.2.1 " + other, knownhosts.StrictAsk, "no", knownhosts.AddressChanged, ""},
		{"both new", "x " + other, knownhosts.StrictAcceptNew, "", 0, "host,192.0.2.1 " + host},
		{"host new", "192.0.2.1 " + host, knownhosts.StrictAcceptNew, "", 0, "host " + host},
		{"host changed", "host " + other + "\n192.0.2.1 " + host, knownhosts.StrictAcceptNew, "", knownhosts.Changed, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := write(t, test.file+"\n")
			p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, file)}, StrictHostKeyChecking: test.checking, CheckHostIP: true}
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
	withPort := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, plain)}, CheckHostIP: true}
	require.NoError(t, connect(t, withPort, "host:2222", &net.TCPAddr{IP: remote.IP, Port: 2222}, key("host")))
	require.Equal(t, "host "+host+"\n", read(t, plain), "a host found without its port")
	file := write(t, "127.0.0.1 "+other+"\nhost "+host+"\n")
	p := &knownhosts.Policy{Sources: []knownhosts.Source{load(t, file)}, CheckHostIP: true}
	require.NoError(t, connect(t, p, "host:22", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 22}, key("host")))
	require.NoError(t, connect(t, p, "host:22", &net.UnixAddr{Name: "x"}, key("host")))
}

// Other hosts are on record for the address.
func TestYesToAHostIsNotYesToAnAddress(t *testing.T) {
	d := knownhosts.Parse("f", []byte("192.0.2.2 "+text(key("other"))))
	p := &knownhosts.Policy{Sources: []knownhosts.Source{d}, StrictHostKeyChecking: knownhosts.StrictAsk, CheckHostIP: true}
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
	require.Contains(t, (*asked)[1].Text, "differs from the record for its address 192.0.2.2, at: f:1\n")
}
