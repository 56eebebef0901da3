//go:build race

package transport_test

// The race detector makes sync.Pool lose some of what it gets, at random.
const allocsPerPacket = 2
