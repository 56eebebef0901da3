// Package storm has the tests of connections whose keys are exchanged without
// end while every layer of a client is at work, against every server of the
// harness. The tests take a minute, mostly of waiting, and so have a package
// to themselves, beside the others.
package storm
