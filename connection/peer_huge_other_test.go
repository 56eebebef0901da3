//go:build !unix

package connection_test

import "testing"

func huge(*testing.T) []byte { return make([]byte, 1<<20) }
