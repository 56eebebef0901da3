// Package sshtest provides SSH servers and connections for tests, in the
// manner of net/http/httptest.
//
// [NewServer] starts a server inside the test's process, on the server half
// of golang.org/x/crypto/ssh. [OpenSSH] and [Dropbear] do the same with the
// real daemons of this machine, with their own keys and configuration in a
// temporary directory. All three give a [Server], whose fields say where it
// is, who may log in, and by which keys it is known, so that one suite runs
// against every one of them:
//
//	s := sshtest.NewServer(t, nil)
//	// Log in to s.Addr as s.User with s.Signer; expect s.HostKey.
//
// A server in the process knows the commands that tests need, spelled as a
// real shell understands them too; [Options] adds others. It speaks over
// [Pipe] as well as over TCP, so that it fits into a bubble of
// testing/synctest. [Scripted] starts one that holds real keys and otherwise
// does what a script says: whatever a broken or hostile server might. A [Link]
// puts a delay and a rate between client and server, and [Faults] break the
// connection. [Main] fails a package whose tests leak goroutines.
//
// Any SSH client can be tested with this package: it imports nothing else of
// its module. Its servers are for tests only, listen on loopback only, and
// must not be given anything that is worth protecting.
package sshtest
