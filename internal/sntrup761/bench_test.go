package sntrup761_test

import (
	"crypto/rand"
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/nacre-ssh/nacre/internal/sntrup761"
)

func BenchmarkGenerateKey(b *testing.B) {
	for b.Loop() {
		sntrup761.GenerateKey()
	}
}

func BenchmarkEncapsulate(b *testing.B) {
	key := sntrup761.GenerateKey().EncapsulationKey()
	for b.Loop() {
		key.Encapsulate()
	}
}

func BenchmarkDecapsulate(b *testing.B) {
	key := sntrup761.GenerateKey()
	_, ciphertext := key.EncapsulationKey().Encapsulate()
	for b.Loop() {
		if _, err := key.Decapsulate(ciphertext); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTiming compares the times of two classes of inputs in the manner of dudect
// (Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?", 2017): a random
// order, and Welch's t of the times below several percentiles. The metric t is the
// largest. Above 4.5, and growing with the number of measurements, t means that the
// time tells the classes apart: run with -benchtime 20000x and more on a quiet machine.
func BenchmarkTiming(b *testing.B) {
	key := sntrup761.GenerateKey()
	_, fixed := key.EncapsulationKey().Encapsulate()
	decapsulate := func(key *sntrup761.DecapsulationKey, ciphertext []byte) func() {
		return func() {
			if _, err := key.Decapsulate(ciphertext); err != nil {
				b.Fatal(err)
			}
		}
	}
	for name, classes := range map[string][2]func() func(){
		"Decapsulate/fixed or random ciphertext": {
			func() func() { return decapsulate(key, slices.Clone(fixed)) },
			func() func() { _, c := key.EncapsulationKey().Encapsulate(); return decapsulate(key, c) },
		},
		"Decapsulate/right or wrong confirmation": {
			func() func() { _, c := key.EncapsulationKey().Encapsulate(); return decapsulate(key, c) },
			func() func() {
				_, c := key.EncapsulationKey().Encapsulate()
				c[len(c)-1] ^= 1
				return decapsulate(key, c)
			},
		},
		"Decapsulate/short or no plaintext": {
			func() func() { _, c := key.EncapsulationKey().Encapsulate(); return decapsulate(key, c) },
			func() func() {
				c := make([]byte, sntrup761.CiphertextSize)
				_, _ = rand.Read(c)
				return decapsulate(key, c)
			},
		},
		"Sort/sorted or random words": {
			func() func() {
				words := randomWords()
				slices.Sort(words[:])
				return func() { sntrup761.SortWords(&words) }
			},
			func() func() { words := randomWords(); return func() { sntrup761.SortWords(&words) } },
		},
		"Invert/fixed or random polynomial": {
			func() func() { a := sntrup761.Small{1}; return func() { sntrup761.InvertTriple(&a) } },
			func() func() {
				a := sntrup761.RandomShort(rand.Reader)
				return func() { sntrup761.InvertTriple(&a) }
			},
		},
		"Invert3/fixed or random polynomial": {
			func() func() { a := sntrup761.Small{1}; return func() { sntrup761.Invert3(&a) } },
			func() func() {
				a := sntrup761.RandomSmall(rand.Reader)
				return func() { sntrup761.Invert3(&a) }
			},
		},
	} {
		b.Run(name, func(b *testing.B) {
			random := generator()
			var times [2][]float64
			for b.Loop() {
				class := random.IntN(2)
				run := classes[class]()
				start := time.Now()
				run()
				times[class] = append(times[class], float64(time.Since(start)))
			}
			b.ReportMetric(largestT(times), "t")
		})
	}
}

func randomWords() (words [sntrup761.P]uint32) {
	b := make([]byte, 4*len(words))
	_, _ = rand.Read(b)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return words
}

// largestT is the largest absolute t over the times below several percentiles, which
// leave out interruptions.
func largestT(times [2][]float64) (t float64) {
	all := slices.Sorted(slices.Values(slices.Concat(times[0], times[1])))
	for _, percentile := range []float64{0.5, 0.75, 0.9, 0.99, 1} {
		limit := all[int(percentile*float64(len(all)-1))]
		t = max(t, math.Abs(welch(below(times[0], limit), below(times[1], limit))))
	}
	return t
}

func below(times []float64, limit float64) (kept []float64) {
	for _, x := range times {
		if x <= limit {
			kept = append(kept, x)
		}
	}
	return kept
}

// welch is Welch's t of two samples, 0 when a sample is too small.
func welch(a, b []float64) float64 {
	if len(a) < 10 || len(b) < 10 {
		return 0
	}
	meanA, varianceA := moments(a)
	meanB, varianceB := moments(b)
	spread := math.Sqrt(varianceA/float64(len(a)) + varianceB/float64(len(b)))
	if spread == 0 {
		return 0
	}
	return (meanA - meanB) / spread
}

func moments(xs []float64) (mean, variance float64) {
	for _, x := range xs {
		mean += x / float64(len(xs))
	}
	for _, x := range xs {
		variance += (x - mean) * (x - mean) / float64(len(xs)-1)
	}
	return mean, variance
}
