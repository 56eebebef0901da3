// Package sshtest provides SSH servers and connections for tests, in the
// manner of net/http/httptest.
//
// [NewServer] starts a server inside the test's process, on the server half of
// golang.org/x/crypto/ssh. [OpenSSH] and [Dropbear] start the real daemons of
// this machine, with their own keys and configuration in a temporary
// directory. All three return a [Server], whose fields are the address, the
// user and the keys, so that one suite runs against each of them:
//
//	s := sshtest.NewServer(t, nil)
//	// Log in to s.Addr as s.User with s.Signer; expect s.HostKey.
//
// A server in the process knows the commands that tests need, spelled as in a
// real shell; [Options] adds others. [Pipe] replaces TCP in a bubble of
// testing/synctest. A [Link] puts a delay and a rate between client and
// server, and [Faults] break the connection. [Scripted] plays a broken or
// hostile server, by a script in the terms of package wire. [Main] fails a
// package whose tests leak goroutines.
//
// Any SSH client can be tested with this package, which shares no code with
// the client of its module. The servers are for tests only: they listen on
// loopback only, and no secret belongs on them.
package sshtest
