package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSVG(t *testing.T) {
	picture := someResults.svg(someMachine)
	for decoder := xml.NewDecoder(bytes.NewReader(picture)); ; {
		_, err := decoder.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err, "not well-formed")
	}
	for _, want := range []string{"x/crypto/ssh", "server known", "aes128-gcm ↓", ">120.5<", ">51.23<", "2026-01-02", "A &lt;CPU&gt;"} {
		require.Contains(t, string(picture), want)
	}
	for _, dont := range []string{"first contact", "chacha20", "window"} {
		require.NotContains(t, string(picture), dont, "without a measurement")
	}
}
