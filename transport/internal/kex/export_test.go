package kex

import (
	"maps"
	"math/big"
	"slices"
)

// Group returns a group of RFC 3526 by its name in RFC 8268.
func Group(name string) (p, g *big.Int) {
	group := map[string]func() *dhGroup{"group14": group14, "group16": group16, "group18": group18}[name]()
	return group.p, group.g
}

// Names are the names of all methods, sorted.
var Names = slices.Sorted(maps.Keys(methods))

// AppendInt appends the number with these big-endian bytes as an mpint.
func AppendInt(b, n []byte) []byte { return appendIntBytes(b, n) }
