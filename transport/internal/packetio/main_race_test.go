//go:build race

package packetio_test

const allocsPerPacket = 2 // the race detector makes sync.Pool lose buffers, at random
