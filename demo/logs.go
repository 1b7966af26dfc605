package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// startupAdvice begins a warning that Traefik gives at every start, whatever its configuration.
const startupAdvice = "Traefik can reject some encoded characters"

// showLog prints what is worth seeing of Traefik's log: what the plugin says, and any warning or
// error. The rest of Traefik's debug level is about Traefik.
func showLog(out io.Writer, log io.Reader) {
	for lines := bufio.NewReader(log); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var entry struct{ Level, Plugin, Message, Error string }
		if json.Unmarshal(line, &entry) != nil {
			continue
		}
		trouble := entry.Level == "warn" || entry.Level == "error" || entry.Level == "fatal"
		if entry.Plugin == "" && !trouble || strings.HasPrefix(entry.Message, startupAdvice) {
			continue
		}
		message := strings.TrimSpace(entry.Message + " " + entry.Error)
		_, _ = fmt.Fprintf(out, "%s gateway: %s\n", time.Now().Format(time.TimeOnly), message)
	}
}
