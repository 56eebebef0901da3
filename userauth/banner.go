package userauth

import (
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"
)

// These bounds limit text from the server.
const (
	maxText           = 16 << 10 // bytes of a text
	maxBanners        = 32       // shown in a login
	maxBannerBytes    = 64 << 10 // shown in a login
	maxBannerMessages = 1024     // received in a login; more are a protocol error
	maxQuoted         = 200      // bytes of a text inside an error
	maxReason         = 800      // bytes of an error inside another, with quotes and file names
)

// bannerBudget counts the banners of a login.
type bannerBudget struct {
	received, shown, bytes int
}

// take counts a banner message and returns the text to show, if any.
func (b *bannerBudget) take(packet []byte) (text string, err error) {
	if b.received++; b.received > maxBannerMessages {
		return "", protocolErrorf("more than %d banners", maxBannerMessages)
	}
	var msg userAuthBannerMsg
	if err := ssh.Unmarshal(packet, &msg); err != nil {
		return "", protocolErrorf("malformed banner")
	}
	if b.shown == maxBanners {
		return "", nil
	}
	text = clean(msg.Message, min(maxText, maxBannerBytes-b.bytes))
	if text != "" {
		b.shown++
		b.bytes += len(text)
	}
	return text, nil
}

// clean makes a peer's text safe for a terminal: at most limit bytes of UTF-8,
// without control characters but newline and tab, and without the invisible
// characters that reorder, hide or break the text behind them.
func clean(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit]
	}
	text = strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, text)
	// Each byte outside UTF-8 has become U+FFFD, three bytes.
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "")
	}
	return text
}

// clip shortens a text that will be quoted with %q.
func clip(text string) string {
	if len(text) > maxQuoted {
		return text[:maxQuoted] + "…"
	}
	return text
}

// oneLine makes a peer's text fit for the single line of an error.
func oneLine(text string) string { return flat(clean(text, maxQuoted)) }

// flat replaces line breaks and tabs by spaces.
func flat(text string) string { return strings.NewReplacer("\n", " ", "\t", " ").Replace(text) }
