//go:build race

package transport_test

const (
	allocsPerPacket = 2 // the race detector makes sync.Pool lose buffers, at random
	sizesPerSize    = 5 // the race detector needs a quarter of a minute for 600 MB
)
