//go:build !linux

package transport

// pause does nothing where there is no short sleep.
func pause() {}
