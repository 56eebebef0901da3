package early_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nacre-ssh/nacre/internal/early"
)

func TestServersByTheirVersionLine(t *testing.T) {
	openSSH := early.Server{Channel: true, Refusal: true, Probes: 5}
	dropbear := early.Server{Channel: true, Probes: 5}
	for version, want := range map[string]early.Server{
		"SSH-2.0-OpenSSH_8.0":                     openSSH,
		"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10": openSSH,
		"SSH-2.0-OpenSSH_10.5":                    openSSH,
		"SSH-2.0-OpenSSH_7.9p1":                   {},
		"SSH-2.0-OpenSSH_for_Windows_9.5":         {},
		"SSH-2.0-OpenSSH_":                        {},
		"SSH-2.0-OpenSSH_99999999999999999999":    {},
		"SSH-2.0-dropbear_2022.83":                dropbear,
		"SSH-2.0-dropbear_2026.94":                dropbear,
		"SSH-2.0-dropbear_2020.81":                {},
		"SSH-2.0-dropbear":                        {},
		"SSH-2.0-Go":                              {Probes: 5},
		"SSH-2.0-Gopher":                          {},
		"SSH-2.0-libssh_0.10.6":                   early.InTurn,
		"SSH-2.0-libssh_0.11.2":                   early.InTurn,
		"SSH-2.0-libssh_0.11.3":                   {},
		"SSH-2.0-libssh_0.12.0":                   {},
		"SSH-2.0-libssh-0.7.3":                    early.InTurn,
		"SSH-2.0-libssh2_1.11.0":                  early.InTurn, // the name of a client, so the row does no harm
		"SSH-2.0-AsyncSSH_2.10.1":                 {},
		"SSH-2.0-":                                {},
		"SSH-1.99-OpenSSH_9.2":                    {},
		"SSH-2.0-x OpenSSH_9.2":                   {},
		"SSH-2.0-OpenSSH_9.2\x00":                 openSSH,
	} {
		require.Equal(t, want, early.ServerOf(version), version)
	}
}
