//go:build !race

package packetio_test

const allocsPerPacket = 0
