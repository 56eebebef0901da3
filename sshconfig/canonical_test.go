package sshconfig_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// names are what the name server of the tests knows: a host, and the name at the end of its aliases.
var names = map[string]string{"web.b.example.": "", "db.a.example.": "real.db.example.", "db.a.example": "Real.db.example", "fq.example.": "", "bad.a.example.": "-bad", "short": "long.example"}

// TestCanonical checks CanonicalizeHostname and its companions.
func TestCanonical(t *testing.T) {
	const domains = "CanonicalDomains a.example B.Example\n"
	for _, test := range []struct{ text, host, want, asked string }{
		{"CanonicalizeHostname yes\n" + domains, "web", "web.b.example", "ip web.a.example. ip web.b.example. "},
		{"CanonicalizeHostname yes\n" + domains, "WEB", "web.b.example", "ip web.a.example. ip web.b.example. "},
		{"CanonicalizeHostname yes\n" + domains, "unknown", "unknown", "ip unknown.a.example. ip unknown.b.example. "},
		{"CanonicalizeHostname yes\n" + domains, "x.y.z", "x.y.z", ""},
		{"CanonicalizeHostname yes\nCanonicalizeMaxDots 0\n" + domains, "x.y", "x.y", ""},
		{"CanonicalizeHostname yes\n" + domains, "fq.example.", "fq.example", "ip fq.example. "},
		{"CanonicalizeHostname yes\nAddressFamily inet6\n" + domains, "web", "web.b.example", "ip6 web.a.example. ip6 web.b.example. "},
		{"CanonicalizeHostname yes\nAddressFamily inet\n" + domains, "db", "db.a.example", "ip4 db.a.example. "},
		{"CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *.a.example:*.db.example\n" + domains, "db", "real.db.example", "ip db.a.example. "},
		{"CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *.c.example:*\n" + domains, "db", "db.a.example", "ip db.a.example. "},
		{"CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *\n" + domains, "bad", "bad.a.example", "ip bad.a.example. "},
		{"CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *\nCanonicalDomains none\n", "short", "long.example", "ip short "},
		{"CanonicalizePermittedCNAMEs *\n", "short", "short", "ip short "},
		{"CanonicalizeHostname yes\nProxyCommand x\n" + domains, "web", "web", ""},
		{"CanonicalizeHostname yes\nProxyJump j\n" + domains, "web", "web", ""},
		{"CanonicalizeHostname always\nProxyJump j\n" + domains, "web", "web.b.example", "ip web.a.example. ip web.b.example. "},
		{"CanonicalizeHostname yes\nHostName %h.srv\n" + domains, "web", "web.srv", "ip web.srv.a.example. ip web.srv.b.example. "},
		{"CanonicalizeHostname yes\n" + domains, "127.1", "127.0.0.1", ""},
		{domains, "web", "web", ""},
	} {
		asked := ""
		l := loader(test.text)
		l.Lookup = func(_ context.Context, network, host string) (string, error) {
			asked += network + " " + host + " "
			cname, ok := names[host]
			if !ok {
				return "", errors.New("no such host")
			}
			return cname, nil
		}
		config, err := l.Load(t.Context(), test.host)
		require.NoError(t, err, "%+v", test)
		require.Equal(t, test.want, config.HostName, "%+v", test)
		require.Equal(t, test.asked, asked, "%+v", test)
	}
}

// TestFinalPass checks that blocks for the canonical host apply in the final pass, after those of the first pass.
func TestFinalPass(t *testing.T) {
	l := loader("CanonicalizeHostname yes\nCanonicalDomains b.example\nHost web\nPort 1\nHost web.b.example\nPort 2\nUser canonical\n" +
		"Match originalhost web final\nBatchMode yes\nMatch canonical host *.b.example\nTag c\n")
	l.Lookup = func(context.Context, string, string) (string, error) { return "", nil }
	config, err := l.Load(t.Context(), "web")
	require.NoError(t, err)
	require.Equal(t, [4]any{1, "canonical", true, "c"}, [4]any{config.Port, config.User, config.BatchMode, config.Tag})
	require.Equal(t, "web", config.Host)
}

// TestNotFound checks the ends of a search without a result.
func TestNotFound(t *testing.T) {
	const domains = "CanonicalizeHostname yes\nCanonicalDomains a.example\n"
	l := loader(domains + "CanonicalizeFallbackLocal no\n")
	l.Lookup = func(context.Context, string, string) (string, error) { return "", errors.New("no such host") }
	_, err := l.Load(t.Context(), "web")
	require.ErrorContains(t, err, `config line 3: CanonicalizeFallbackLocal: host "web" is not found in any domain`)
	require.ErrorContains(t, refuse(t, domains, "web"), "set Loader.Lookup")

	l = loader("CanonicalizePermittedCNAMEs *\n")
	l.Lookup = func(context.Context, string, string) (string, error) { return "", errors.New("no such host") }
	_, err = l.Load(t.Context(), "web")
	require.ErrorContains(t, err, `host "web" is not found`)
	l.Options = []string{"ProxyCommand=x", "CanonicalizeHostname=always"}
	_, err = l.Load(t.Context(), "web")
	require.NoError(t, err, "a proxy may know hosts that the name server does not")
}
