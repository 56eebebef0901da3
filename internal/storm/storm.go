// Package storm has the tests of connections whose keys are exchanged without
// end while all of a client is at work: every layer of it, against every
// server of the harness. They take a minute, in which they mostly wait, and so
// have a package to themselves, which runs beside the others.
package storm
