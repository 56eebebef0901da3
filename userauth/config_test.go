package userauth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/userauth"
)

func TestBadConfigurationSendsNothing(t *testing.T) {
	none := []userauth.Method{userauth.None()}
	for name, config := range map[string]*userauth.Config{
		"nil":             nil,
		"empty user":      {Methods: none},
		"user with NUL":   {User: "bob\x00root", Methods: none},
		"user not UTF-8":  {User: "bob\xff", Methods: none},
		"user too long":   {User: strings.Repeat("b", 1025), Methods: none},
		"no methods":      {User: "bob"},
		"nil method":      {User: "bob", Methods: []userauth.Method{nil}},
		"bad method name": {User: "bob", Methods: []userauth.Method{named("a,b")}},
		"bad service":     {User: "bob", Methods: none, Service: "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			p := verdicts(success)
			err := userauth.Authenticate(t.Context(), p, config)
			require.ErrorContains(t, err, "userauth: ")
			require.Empty(t, p.events)
		})
	}
}
