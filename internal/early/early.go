// Package early decides about messages that leave before their turn, and about
// connections that fail because of these messages.
//
// # The story
//
// RFC 4253, 4252 and 4254 make a client wait for an answer at eight places before
// a command runs. Nacre waits at three, or at two where the server is known. The
// messages in between leave early, on the assumption that the server is going to
// grant the request in front of them:
//
//  1. The first message of the key exchange leaves with our KEXINIT if the
//     server's key exchanges are known from an earlier connection.
//  2. The request for a service and the first request for authentication leave
//     together, and several keys are asked about together.
//  3. The open of a session, the requests for its terminal and its command, and a
//     little input leave behind the request that authenticates the user. On a
//     client that is connected already, the requests of the first session leave
//     behind its open.
//
// Early messages weaken no check. The host key is verified before step 2, and the
// messages of steps 2 and 3 are encrypted to the server with the verified key.
//
// # The states of an attempt
//
// Not every server bears steps 2 and 3, and a server can change. So each
// connection is an attempt, and goes through these states:
//
//   - Planned. [ServerOf] lists the early messages that a server with this
//     identification bears. The user's switch (DisableEarly), the memory of
//     servers, and the methods at hand narrow the plan.
//   - Held. [Transport] keeps the packets of the connection layer while userauth
//     still uses the transport; userauth sends the kept packets behind the
//     request with a whole proof.
//   - Sent. The server's answer to the request tells the effect of the packets:
//     a [userauth.EarlyOutcome].
//   - Granted. The transport is opened, and the connection goes on as any other.
//   - Failed. [Judge] gives the verdict: whether the failure is final, whether a
//     second attempt without early messages is allowed and promising, and whether
//     the memory notes that the server does not bear early messages. Where the
//     command may have started, no second attempt is made, because a command
//     never runs twice.
//
// A client would wait without end for a server that drops early requests in
// silence. An [Inquiry] detects the drop.
package early
