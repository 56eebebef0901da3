package kex_test

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/nacre-ssh/nacre/transport/internal/kex"
)

type dhInit struct {
	E *big.Int `sshtype:"30"`
}

type dhReply struct {
	HostKey   []byte `sshtype:"31"`
	F         *big.Int
	Signature []byte
}

type gexGroup struct {
	P *big.Int `sshtype:"31"`
	G *big.Int
}

type gexInit struct {
	E *big.Int `sshtype:"32"`
}

type gexReply struct {
	HostKey   []byte `sshtype:"33"`
	F         *big.Int
	Signature []byte
}

// mpint is a number as on the wire.
func mpint(numbers ...*big.Int) (b []byte) {
	for _, n := range numbers {
		b = append(b, ssh.Marshal(struct{ N *big.Int }{n})...)
	}
	return b
}

func TestDiffieHellman(t *testing.T) {
	for name, group := range map[string]string{
		"diffie-hellman-group14-sha256": "group14", "diffie-hellman-group16-sha512": "group16", "diffie-hellman-group18-sha512": "group18",
	} {
		p, g := kex.Group(group)
		m := kex.New(name)
		packet, err := m.Begin()
		require.NoError(t, err)
		var init dhInit
		require.NoError(t, ssh.Unmarshal(packet, &init))
		y := big.NewInt(123456789)
		f := new(big.Int).Exp(g, y, p)
		packet, result, err := m.Next(ssh.Marshal(&dhReply{[]byte("key"), f, []byte("signature")}))
		require.NoError(t, err)
		require.Nil(t, packet)
		require.Equal(t, &kex.Result{
			HostKey: []byte("key"), Signature: []byte("signature"), Values: mpint(init.E, f),
			Secret: mpint(new(big.Int).Exp(init.E, y, p)),
		}, result)
	}
}

// K11: public values out of range.
func TestDiffieHellmanValueOutOfRange(t *testing.T) {
	p, g := kex.Group("group14")
	for _, f := range []*big.Int{big.NewInt(-1), big.NewInt(0), big.NewInt(1), new(big.Int).Sub(p, big.NewInt(1)), p, new(big.Int).Add(p, g)} {
		_, err := run("diffie-hellman-group14-sha256", [][]byte{ssh.Marshal(&dhReply{F: f})})
		require.ErrorContains(t, err, "Diffie-Hellman value is out of range")
		_, err = run("diffie-hellman-group-exchange-sha256", [][]byte{ssh.Marshal(&gexGroup{p, g}), ssh.Marshal(&gexReply{F: f})})
		require.ErrorContains(t, err, "Diffie-Hellman value is out of range")
	}
}

func TestGroupExchange(t *testing.T) {
	p, g := kex.Group("group14")
	m := kex.New("diffie-hellman-group-exchange-sha256")
	packet, err := m.Begin()
	require.NoError(t, err)
	require.Equal(t, append([]byte{34}, ssh.Marshal(struct{ Min, Preferred, Max uint32 }{2048, 3072, 8192})...), packet)
	packet, result, err := m.Next(ssh.Marshal(&gexGroup{p, g}))
	require.NoError(t, err)
	require.Nil(t, result)
	var init gexInit
	require.NoError(t, ssh.Unmarshal(packet, &init))
	f := new(big.Int).Exp(g, big.NewInt(123456789), p)
	_, result, err = m.Next(ssh.Marshal(&gexReply{[]byte("key"), f, []byte("signature")}))
	require.NoError(t, err)
	require.Equal(t, mpint(new(big.Int).Exp(init.E, big.NewInt(123456789), p)), result.Secret)
	require.Equal(t, append(ssh.Marshal(struct{ Min, Preferred, Max uint32 }{2048, 3072, 8192}), mpint(p, g, init.E, f)...), result.Values)
}

// K11: groups of a wrong size, and numbers that are no group.
func TestGroupThatIsNone(t *testing.T) {
	p, g := kex.Group("group14")
	for says, group := range map[string]gexGroup{
		"has 2047 bits, not 2048 to 8192": {new(big.Int).Rsh(p, 1), g},
		"has 8193 bits, not 2048 to 8192": {new(big.Int).Lsh(p, 8193-2048), g},
		"generator":                       {p, big.NewInt(1)},
		"is not prime":                    {new(big.Int).Mul(p, big.NewInt(3)), g},
	} {
		_, err := run("diffie-hellman-group-exchange-sha256", [][]byte{ssh.Marshal(&group)})
		require.ErrorContains(t, err, says)
	}
}
