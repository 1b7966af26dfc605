package gateway

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// logBuffer keeps what is written to it and hands it on.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
	tee io.Writer
}

// Write implements [io.Writer].
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tee != nil {
		_, _ = b.tee.Write(p)
	}
	return b.buf.Write(p)
}

// String is what was written so far.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// last is the last n lines.
func (b *logBuffer) last(n int) string {
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// find is the first line with that text, or nothing.
func (b *logBuffer) find(text string) string {
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}
