package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strings"
)

// A panel is a chart of the picture: bars for each client, grouped by result.
type panel struct {
	title  string
	better string
	scale  float64 // of values, for the unit in the title
	groups []group
}

type group struct {
	label, name string // of the result
}

// panels returns the picture's two columns.
func (r results) panels() [2][]panel {
	trips := panel{"Round trips from TCP to exit status", "fewer", 1, []group{
		{"first contact", "roundtrips/cold"}, {"server known", "roundtrips/warm"}, {"fifth key fits", "roundtrips/keys"},
	}}
	cpu := panel{"Client CPU, seconds for each GB", "less", 1, nil}
	for _, s := range suites {
		cpu.groups = append(cpu.groups,
			group{s.Name + " ↓", "cpu/" + s.Name + "/down"}, group{s.Name + " ↑", "cpu/" + s.Name + "/up"})
	}
	speed := panel{"", "more", 1, nil}
	memory := panel{"Resident kB for each idle connection", "less", 1e-3, nil}
	for _, name := range r.names() {
		what, where, _ := strings.Cut(name, "/")
		switch {
		case (what == "download" || what == "upload") && !strings.Contains(where, "/"):
			speed.title = "MB/s at a round trip time of " + where
			speed.groups = append(speed.groups, group{what, name})
		case what == "memory":
			memory.groups = append(memory.groups, group{strings.TrimPrefix(where, "idle/") + " connections", name})
		}
	}
	return [2][]panel{{trips, speed, memory}, {cpu}}
}

// Measures of the picture, in pixels.
const (
	svgColumn = 420 // width
	svgLabel  = 140 // width of the labels left of the bars
	svgBar    = 200 // width of the longest bar
	svgLine   = 11  // height of a bar with the gap below
	svgMargin = 16
)

// svgStyle has two sets of colours: a picture in a page follows the reader's.
const svgStyle = `<style>
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 13px } .small { font-size: 10px; fill: #59636e }
  .nacre { fill: #0f8a80 } .xcrypto { fill: #8c96a3 } .openssh { fill: #d08a2e }
  .axis { stroke: #d1d9e0 } .page { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .axis { stroke: #3d444d } .page { fill: #0d1117 }
    .nacre { fill: #2fc4b6 } .xcrypto { fill: #6e7681 } .openssh { fill: #c98a3c }
  }
</style>
`

var clientTitles = map[string]string{
	clientNacre: "Nacre", clientXCrypto: "x/crypto/ssh", clientOpenSSH: "OpenSSH's ssh",
}

// svg draws the results.
func (r results) svg(about machine) []byte {
	var body bytes.Buffer
	height := 0
	for i, column := range r.panels() {
		y := 3 * svgMargin
		for _, p := range column {
			y = r.draw(&body, p, svgMargin+i*svgColumn, y)
		}
		height = max(height, y)
	}
	width := 2*svgColumn + svgMargin
	text(&body, svgMargin, height+svgMargin, "small", about.String())
	height += 2 * svgMargin

	var out bytes.Buffer
	fmt.Fprintf(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n",
		width, height, width, height)
	fmt.Fprintf(&out, "<title>Nacre, x/crypto/ssh and OpenSSH measured side by side</title>\n%s", svgStyle)
	fmt.Fprintf(&out, "<rect class=\"page\" width=\"%d\" height=\"%d\" rx=\"8\"/>\n", width, height)
	x := svgMargin
	for _, client := range allClients {
		fmt.Fprintf(&out, "<rect class=\"%s\" x=\"%d\" y=\"15\" width=\"10\" height=\"10\"/>\n", client, x)
		text(&out, x+16, 24, "", clientTitles[client])
		x += 130
	}
	out.Write(body.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// draw draws a panel, if there are results for the panel, and returns the top
// of the next panel.
func (r results) draw(w *bytes.Buffer, p panel, x, y int) int {
	longest := 0.0
	for _, g := range p.groups {
		for _, client := range allClients {
			result, _ := r.get(g.name, client)
			longest = math.Max(longest, result.Value)
		}
	}
	if longest == 0 {
		return y
	}
	text(w, x, y+svgMargin, "title", p.title)
	y += 2 * svgMargin
	text(w, x, y-1, "small", p.better+" is better")
	y += 6
	top, left := y, x+svgLabel
	for _, g := range p.groups {
		start := y
		for _, client := range allClients {
			result, ok := r.get(g.name, client)
			if !ok {
				continue
			}
			length := math.Max(1, svgBar*result.Value/longest)
			fmt.Fprintf(w, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n", client, left, y, length, svgLine-2)
			text(w, left+int(length)+5, y+8, "small", number(result.Value*p.scale, true))
			y += svgLine
		}
		if y > start {
			text(w, x, (start+y)/2+3, "", g.label)
			y += 8
		}
	}
	fmt.Fprintf(w, "<line class=\"axis\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", left, top-2, left, y-6)
	return y + svgMargin
}

func text(w *bytes.Buffer, x, y int, class, words string) {
	fmt.Fprintf(w, "<text class=\"%s\" x=\"%d\" y=\"%d\">%s</text>\n", class, x, y, html.EscapeString(words))
}
