package sshtest

var (
	Strays      = strays
	LeftOpen    = leftOpen
	Descriptors = descriptors
)

var Program = program
