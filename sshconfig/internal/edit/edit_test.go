package edit_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/sshconfig/internal/edit"
)

// TestSetHost checks an edit without the rules of package sshconfig, whose tests have all other cases.
func TestSetHost(t *testing.T) {
	option := edit.Option{Keyword: "Port", Value: "2", Same: func(word string) bool { return strings.EqualFold(word, "port") }}
	before := "# a\nHost web\n\tport 1 # b\n\n# c\nHost *\n"
	require.Equal(t, strings.Replace(before, "port 1", "port 2", 1), string(edit.SetHost([]byte(before), "web", []edit.Option{option})))
	require.Equal(t, "Host web\n    Port 2\n", string(edit.SetHost(nil, "web", []edit.Option{option})))
}
