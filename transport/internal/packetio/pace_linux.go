package packetio

import "syscall"

// pause sleeps for 20 µs, and the kernel adds its timer slack of 50. A time.Sleep
// in a program with nothing else to do takes 1 ms.
func pause() {
	_ = syscall.Nanosleep(&syscall.Timespec{Nsec: 20_000}, nil) // may end early
}
