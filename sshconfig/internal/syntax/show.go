// This file shows values as the lines of ssh -G.

package syntax

import (
	"strconv"
	"strings"
	"time"
)

// Optional shows a text, and no line for an empty text.
func Optional(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// YesNo shows a flag.
func YesNo(value bool) []string {
	if value {
		return []string{"yes"}
	}
	return []string{"no"}
}

// Number shows a number.
func Number(n int) []string { return []string{strconv.Itoa(n)} }

// Seconds shows a time, with OpenSSH's -1 for none.
func Seconds(d time.Duration) []string {
	if d < 0 {
		return []string{"-1"}
	}
	return Number(int(d / time.Second))
}

// SecondsOrNone is Seconds with the word none.
func SecondsOrNone(d time.Duration) []string {
	if d < 0 {
		return []string{"none"}
	}
	return Seconds(d)
}

// Commas shows a list, an empty list as an empty value.
func Commas(list []string) []string { return []string{strings.Join(list, ",")} }

// OptionalCommas is Commas without a line for an empty list.
func OptionalCommas(list []string) []string { return Optional(strings.Join(list, ",")) }

// BlanksOrNone shows a list with blanks, or the word none.
func BlanksOrNone(list []string) []string {
	if len(list) == 0 {
		return []string{"none"}
	}
	return []string{strings.Join(list, " ")}
}
