//go:build !race

package transport_test

const allocsPerPacket = 0
