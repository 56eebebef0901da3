//go:build unix

package connection_test

import (
	"math/bits"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// huge returns 4 GiB, whose length has 0 in the lower 32 bits. Unread pages take no memory.
func huge(t *testing.T) []byte {
	length := 1 << (bits.UintSize / 2)
	b, err := syscall.Mmap(-1, 0, length, syscall.PROT_READ, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Munmap(b) })
	return b
}
