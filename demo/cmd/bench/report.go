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
		found.Rounds, found.Seconds)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "requests/s\tof bare\t(range)\tp50 µs\tp99 µs\tadded µs\tgateway CPU µs\t  \t")
	for _, r := range found.Rows {
		fmt.Fprintf(table, "%.0f\t%.2f\t%.2f–%.2f\t%.0f\t%.0f\t%.0f\t%.0f\t\t%s\n", r.Throughput, r.Ratio, r.Lowest, r.Most, r.P50, r.P99, r.Added, r.CPU, r.Name)
	}
	_ = table.Flush()
	fmt.Fprintln(w, "\nadded: to the median latency at saturation. HAProxy's rows are compared with bare HAProxy.")
}

// style makes a chart readable on a light page and on a dark one.
const style = `<style>text{font:13px system-ui,sans-serif;fill:#24292f}.soft{fill:#6e7781}.line{stroke:#8c959f}.plugin{fill:#1a7f7a}.other{fill:#afb8c1}` +
	`@media(prefers-color-scheme:dark){text{fill:#e6edf3}.soft{fill:#9198a1}.line{stroke:#6e7681}.plugin{fill:#3fb8af}.other{fill:#545d68}}</style>`

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
			class = "plugin"
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

// growthChart draws the curves side by side: the ratio to bare over the number of tokens and of keys, and the heap
// over the number of distinct tokens.
func growthChart(found growth) []byte {
	type dot struct {
		label string
		value float64
	}
	type panel struct {
		title string
		most  float64
		dots  []dot
	}
	var panels []panel
	for _, c := range found.Curves {
		p := panel{title: "Throughput of bare, by " + c.Name, most: 1.2}
		for _, at := range c.Points {
			p.dots = append(p.dots, dot{thousands(at.N), at.Ratio})
		}
		panels = append(panels, p)
	}
	stream := panel{title: "MiB held, by distinct tokens sent"}
	for _, h := range found.Stream {
		stream.dots = append(stream.dots, dot{thousands(h.Requests), h.MiB})
		stream.most = max(stream.most, 1.2*h.MiB)
	}
	panels = append(panels, stream)

	const width, height, top, bottom = 300, 170, 40, 190
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d 225" role="img" aria-label="What does not grow">`, width*len(panels))
	b.WriteString(style)
	for i, p := range panels {
		left := i*width + 40
		step := float64(width-80) / float64(max(len(p.dots)-1, 1))
		fmt.Fprintf(&b, `<text x="%d" y="20">%s</text>`, left-20, html.EscapeString(p.title))
		fmt.Fprintf(&b, `<line class="line" x1="%d" x2="%d" y1="%d" y2="%d"/>`, left-20, left+width-60, bottom, bottom)
		var path strings.Builder
		for j, d := range p.dots {
			x, y := float64(left)+float64(j)*step, bottom-d.value/p.most*(height-top)
			fmt.Fprintf(&path, "%.0f,%.0f ", x, y)
			fmt.Fprintf(&b, `<circle class="plugin" cx="%.0f" cy="%.0f" r="4"/><text x="%.0f" y="%.0f" text-anchor="middle">%.3g</text>`, x, y, x, y-10, d.value)
			fmt.Fprintf(&b, `<text class="soft" x="%.0f" y="%d" text-anchor="middle">%s</text>`, x, bottom+18, d.label)
		}
		fmt.Fprintf(&b, `<polyline class="line" fill="none" points="%s"/>`, strings.TrimSpace(path.String()))
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// thousands writes 100000 as 100k.
func thousands(n int) string {
	switch {
	case n >= 1_000_000:
		return fmt.Sprintf("%gM", float64(n)/1_000_000)
	case n >= 1000:
		return fmt.Sprintf("%gk", float64(n)/1000)
	}
	return fmt.Sprint(n)
}
