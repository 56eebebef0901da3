package syntax

import "fmt"

// Quote cuts and quotes a text from a file for an error.
func Quote(text string) string {
	const most = 100
	if len(text) > most {
		return fmt.Sprintf("%q…", text[:most])
	}
	return fmt.Sprintf("%q", text)
}
