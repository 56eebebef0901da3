//go:build !race

package transport_test

const (
	allocsPerPacket = 0
	sizesPerSize    = 1 // each size under a single cipher is tried
)
