package sshconfig_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig"
)

// FuzzLoad looks for bytes with a panic of Load, or of a method of Config.
func FuzzLoad(f *testing.F) {
	for _, c := range append(syntaxCases(), matchCases()...) {
		if len(c.files["config"]) < 500 {
			f.Add([]byte(c.files["config"]), c.host)
		}
	}
	for _, k := range sampled() {
		for _, v := range samples[k] {
			f.Add([]byte(k+" "+v+"\n"), "host")
		}
	}
	f.Add([]byte("Include /a\nMatch exec \"%h\" localnetwork 192.0.2.0/24 final\nControlPath %C\nCanonicalizeHostname yes\nCanonicalDomains a b\n"), "eve@host")
	f.Fuzz(func(t *testing.T, content []byte, host string) {
		l := loader("")
		l.Files[0].Data = append([]byte{}, content...)
		l.FS = tree("a", "Include /a\nPort 7\n", "home/bob/.ssh/b", string(content))
		l.Exec = func(_ context.Context, command string) (bool, error) { return len(command)%2 == 0, nil }
		l.Lookup = func(_ context.Context, _, host string) (string, error) {
			if len(host)%2 == 0 {
				return "", errors.New("no such host")
			}
			return strings.ToUpper(host), nil
		}
		l.Addresses = func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("192.0.2.7")}, nil }
		config, err := l.Load(t.Context(), host)
		if err != nil {
			require.True(t, strings.HasPrefix(err.Error(), "sshconfig: "), err)
			return
		}
		require.NotContains(t, config.Host, ";", "a host for a shell")
		require.Contains(t, config.String(), "\nport ")
		require.GreaterOrEqual(t, len(config.Settings()), 70)
		for _, s := range config.Settings() {
			_, _ = config.Expand(s.Keyword, map[byte]string{'T': "NONE"})
		}
	})
}

// FuzzSetHost looks for an edit with another result the second time, or with a file for Load to refuse.
func FuzzSetHost(f *testing.F) {
	f.Add([]byte("Host web-1\n  Port 1 # c\n\n# d\nHost *\nPort 2\n"), "7")
	f.Add([]byte("Host \"web-1\"\r\n\tport=\"1\"#x\r\nMatch all\n"), "ssh")
	f.Add([]byte("Host web-1"), "1")
	f.Fuzz(func(t *testing.T, content []byte, port string) {
		after, err := sshconfig.SetHost(content, "web-1", sshconfig.Option{Keyword: "Port", Value: port})
		if err != nil {
			return
		}
		again, err := sshconfig.SetHost(after, "web-1", sshconfig.Option{Keyword: "Port", Value: port})
		require.NoError(t, err)
		require.Equal(t, string(after), string(again))
		if _, err := loader(string(content)).Load(t.Context(), "other-host"); err != nil {
			return
		}
		_, err = loader(string(after)).Load(t.Context(), "other-host")
		require.NoError(t, err, "%q became %q", content, after)
	})
}
