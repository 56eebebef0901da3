package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHarnessMakesErrors(t *testing.T) {
	h := new(harness)
	var undone []int
	h.Cleanup(func() { undone = append(undone, 1) })
	h.Cleanup(func() { undone = append(undone, 2) })
	dir := h.TempDir()
	err := func() (err error) {
		defer h.recover(&err)
		h.Fatalf("no %s", "sshd")
		return nil
	}()
	require.EqualError(t, err, "no sshd")
	h.close()
	require.Equal(t, []int{2, 1}, undone)
	require.NoDirExists(t, dir)
}
