package transport

import "syscall"

// pause sleeps for 20 µs, to which the kernel adds its timer slack of 50. A
// time.Sleep of a program that has nothing else to do takes 1 ms.
func pause() {
	_ = syscall.Nanosleep(&syscall.Timespec{Nsec: 20_000}, nil) // may end early
}
