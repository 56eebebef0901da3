package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// A result is a client's number.
type result struct {
	Name   string  `json:"name"`
	Client string  `json:"client"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
}

type results []result

// writeJSON writes an object for each result, each on a line of its own.
func (r results) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	for _, result := range r {
		if err := encoder.Encode(result); err != nil {
			return err
		}
	}
	return nil
}

// get returns a client's result by its name.
func (r results) get(name, client string) (result, bool) {
	i := slices.IndexFunc(r, func(x result) bool { return x.Name == name && x.Client == client })
	if i < 0 {
		return result{}, false
	}
	return r[i], true
}

// names returns each name once, in the order of the measurements.
func (r results) names() []string {
	var names []string
	for _, x := range r {
		if !slices.Contains(names, x.Name) {
			names = append(names, x.Name)
		}
	}
	return names
}

// writeTable writes a line for each name: the clients' results, the ratios,
// and the bar with its verdict.
func (r results) writeTable(w io.Writer, about machine, bars map[string]bar) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\tunit\t%s\t/ %s\t/ %s\tbar\t\n", strings.Join(allClients, "\t"), clientXCrypto, clientOpenSSH)
	for _, name := range r.names() {
		row := []string{name, ""}
		for _, client := range allClients {
			x, ok := r.get(name, client)
			if ok {
				row[1] = x.Unit
			}
			row = append(row, number(x.Value, ok))
		}
		for _, peer := range []string{clientXCrypto, clientOpenSSH} {
			row = append(row, number(r.ratio(name, peer)))
		}
		row = append(row, bars[name].verdict(r, name)...)
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", about)
	return err
}

// ratio is Nacre's result divided by a peer's.
func (r results) ratio(name, peer string) (float64, bool) {
	ours, ok1 := r.get(name, clientNacre)
	theirs, ok2 := r.get(name, peer)
	return ours.Value / theirs.Value, ok1 && ok2 && theirs.Value != 0
}

// number writes three digits, more than the measurements are good for.
func number(x float64, ok bool) string {
	switch {
	case !ok:
		return "–"
	case x == 0:
		return "0"
	case x >= 1000 || x == float64(int64(x)):
		return fmt.Sprintf("%.0f", x)
	case x >= 100:
		return fmt.Sprintf("%.1f", x)
	case x >= 0.1:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.2g", x)
}

// A bar limits Nacre's result. A zero field sets no limit.
type bar struct {
	none        bool    // 0
	most, least float64 // in the result's own unit
	xcrypto     float64 // at most, of x/crypto/ssh's
	openssh     float64 // at most, of OpenSSH's
}

// verdict returns the bar in words, and whether Nacre is within the bar.
func (b bar) verdict(r results, name string) []string {
	ours, ok := r.get(name, clientNacre)
	if !ok || b == (bar{}) {
		return []string{"", ""}
	}
	var words []string
	verdict := "met"
	judge := func(asked bool, text string, known, good bool) {
		switch {
		case !asked:
			return
		case known && !good:
			verdict = "NOT MET"
		case !known && verdict == "met":
			verdict = "not known"
		}
		words = append(words, text)
	}
	limit := func(x float64) string { return number(x, true) }
	ofXCrypto, knowXCrypto := r.ratio(name, clientXCrypto)
	ofOpenSSH, knowOpenSSH := r.ratio(name, clientOpenSSH)
	judge(b.none, "0", true, ours.Value == 0)
	judge(b.most != 0, "≤ "+limit(b.most), true, ours.Value <= b.most)
	judge(b.least != 0, "≥ "+limit(b.least), true, ours.Value >= b.least)
	judge(b.xcrypto != 0, "≤ "+limit(b.xcrypto)+" of "+clientXCrypto, knowXCrypto, ofXCrypto <= b.xcrypto)
	judge(b.openssh != 0, "≤ "+limit(b.openssh)+" of "+clientOpenSSH, knowOpenSSH, ofOpenSSH <= b.openssh)
	return []string{strings.Join(words, ", "), verdict}
}

// bars are the project's promises, by the names of results.
func (b *bench) bars() map[string]bar {
	// In steady state; the few allocations belong to the runtime.
	const noAllocation = 0.05
	distance := b.link.RTT.String()
	bars := map[string]bar{
		"roundtrips/cold":                {most: 3},
		"roundtrips/warm":                {most: 2},
		"roundtrips/keys":                {most: 3 + wrongKeys},
		"roundtrips/dropbear/cold":       {most: 3},
		"roundtrips/dropbear/warm":       {most: 2},
		"roundtrips/dropbear/keys":       {most: 3 + wrongKeys},
		"roundtrips/sshtest/cold":        {most: 5},
		"roundtrips/sshtest/warm":        {most: 5},
		"download/" + distance:           {least: 0.90 * float64(b.link.Rate) / 1e6},
		"upload/" + distance + "/window": {least: 95},
		"cpu/aes128-gcm/down":            {xcrypto: 0.50, openssh: 0.90},
		"cpu/aes128-gcm/up":              {xcrypto: 0.75, openssh: 0.90},
		"cpu/chacha20-poly1305/down":     {xcrypto: 0.45, openssh: 1},
		"cpu/chacha20-poly1305/up":       {xcrypto: 0.60, openssh: 1},
		"allocs/packet/down":             {most: noAllocation},
		"allocs/packet/up":               {most: noAllocation},
	}
	for _, n := range b.idle {
		bars[idleName("memory", n)] = bar{xcrypto: 0.50}
		bars[idleName("goroutines", n)] = bar{most: 2.05}
	}
	bars[b.commandsName()+"/failures"] = bar{none: true}
	return bars
}

// medianOf is the median of a result among samples.
func medianOf(samples []sample, name string) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = s[name]
	}
	return median(values)
}

// median is the middle value, or the mean of both middle values.
func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
