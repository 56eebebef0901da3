//go:build race

package transport_test

const (
	allocsPerPacket = 2 // the race detector makes sync.Pool lose some of what it gets, at random
	sizesPerSize    = 5 // and takes a quarter of a minute to see 600 MB moved
)
