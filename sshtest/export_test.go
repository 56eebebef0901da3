package sshtest

var Program = program
