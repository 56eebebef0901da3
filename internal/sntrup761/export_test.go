package sntrup761

import (
	"io"
	"slices"
)

const (
	P     = p
	Q     = q
	W     = w
	Half  = half
	Radix = roundedRadix
)

type (
	Rq    = rq
	Small = small
)

var (
	GenerateKeyFrom  = generateKey
	RandomShort      = randomShort
	RandomSmall      = randomSmall
	SortWords        = sortWords
	Multiply         = multiply
	Multiply3        = multiply3
	InvertTriple     = invertTriple
	Invert3          = invert3
	AppendDigits     = appendDigits
	ParseDigits      = parseDigits
	AppendRq         = appendRq
	ParseRq          = parseRq
	AppendRounded    = appendRounded
	ParseRounded     = parseRounded
	ReduceQ, Reduce3 = reduceQ, reduce3
	DifferenceMask   = differenceMask
)

func (k *EncapsulationKey) EncapsulateFrom(random io.Reader) (sharedKey, ciphertext []byte) {
	return k.encapsulate(random)
}

// Encoded is the private key in the format of the specification.
func (k *DecapsulationKey) Encoded() []byte {
	b := appendSmall(appendSmall(nil, &k.f), &k.gInverse)
	return slices.Concat(b, k.public.encoded[:], k.rejection[:], k.public.hash[:])
}

func (a *Rq) Round() { a.round() }

func (a *Small) WeightMask() int32 { return a.weightMask() }
