package main

import (
	"fmt"
	"html"
	"io"
	"strings"
	"text/tabwriter"
)

// printTable prints the results. One run's table is comparable within itself only.
func printTable(w io.Writer, found results) {
	fmt.Fprintf(w, "\n%s, %d cores, %d connections, medians of %d rounds of %g s\n\n", found.CPU, found.Cores, found.Connections,
		len(found.Rows[0].Rounds), found.Seconds)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "requests/s\tof bare\t(range)\tp50 µs\tp99 µs\tadded µs\tgateway CPU µs\t  \t")
	for _, r := range found.Rows {
		fmt.Fprintf(table, "%.0f\t%.2f\t%.2f–%.2f\t%.0f\t%.0f\t%.0f\t%.0f\t\t%s\n", r.Throughput, r.Ratio, r.Lowest, r.Most, r.P50, r.P99, r.Added, r.CPU, r.Name)
	}
	_ = table.Flush()
	fmt.Fprintln(w, "\nadded: to the median latency at saturation. HAProxy's rows are compared with bare HAProxy.")
}

// style makes a chart readable on a light page and on a dark one.
const style = `<style>text{font:13px system-ui,sans-serif;fill:#24292f}.soft{fill:#6e7781}.line{stroke:#8c959f}.ours{fill:#1a7f7a}.other{fill:#afb8c1}` +
	`@media(prefers-color-scheme:dark){text{fill:#e6edf3}.soft{fill:#9198a1}.line{stroke:#6e7681}.ours{fill:#3fb8af}.other{fill:#545d68}}</style>`

// chart draws each row's ratio as a bar.
func chart(found results) []byte {
	const left, right, height, top, scale = 210, 60, 24, 40, 400.0
	// A refusal is faster than a proxied request by far; its bar ends where the picture does.
	const most = 1.25
	var b strings.Builder
	width, total := left+int(most*scale)+right, top+height*len(found.Rows)+30
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="Throughput as a share of the bare gateway's">`, width, total)
	b.WriteString(style)
	fmt.Fprintf(&b, `<text x="%d" y="20">Throughput, as a share of the bare gateway's</text>`, left)
	for i, r := range found.Rows {
		y := top + i*height
		class := "other"
		if strings.HasPrefix(r.Name, "token") || strings.HasPrefix(r.Name, "refused") || strings.HasPrefix(r.Name, "renewal") {
			class = "ours"
		}
		length := int(min(r.Ratio, most) * scale)
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+16, html.EscapeString(r.Name))
		fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="2"/>`, class, left, y+3, length, height-6)
		fmt.Fprintf(&b, `<text x="%d" y="%d">%.2f</text>`, left+length+6, y+16, r.Ratio)
	}
	fmt.Fprintf(&b, `<line class="line" x1="%[1]d" x2="%[1]d" y1="%d" y2="%d" stroke-dasharray="3 3"/>`, left+int(scale), top-4, total-26)
	fmt.Fprintf(&b, `<text class="soft" x="%d" y="%d">%s, %d cores, %d connections; HAProxy against bare HAProxy</text></svg>`+"\n",
		left, total-8, html.EscapeString(found.CPU), found.Cores, found.Connections)
	return []byte(b.String())
}
