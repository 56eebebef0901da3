//go:build !linux

package packetio

// pause does nothing where there is no short sleep.
func pause() {}
