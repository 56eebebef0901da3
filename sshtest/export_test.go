package sshtest

var Strays = strays

var Program = program
