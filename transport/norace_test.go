//go:build !race

package transport_test

const (
	allocsPerPacket = 0
	sizesPerSize    = 1 // of the sizes that one cipher may stand for, each is tried
)
