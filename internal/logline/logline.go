// Package logline writes the plugin's lines to Traefik's log. It knows the levels, and how to quote text from outside, and nothing
// of what the lines say.
//
// Yaegi: fmt prints to the interpreter's standard output, which Traefik logs at debug level, and package log writes to its
// standard error, which Traefik logs at error level. There is no level between.
package logline

import (
	"fmt"
	"log"
	"strconv"
)

const prefix = "slidingjwt: "

// Debug logs what needs no action.
func Debug(format string, args ...any) {
	fmt.Println(prefix + fmt.Sprintf(format, args...)) //nolint:forbidigo // This is how a plugin logs.
}

// Warning logs, at error level, what the operator should look at.
func Warning(format string, args ...any) {
	log.Println(prefix + "warning: " + fmt.Sprintf(format, args...))
}

// Error logs what the operator has to act on.
func Error(format string, args ...any) {
	log.Println(prefix + fmt.Sprintf(format, args...)) // Callers quote text from outside.
}

const maxQuoted = 200 // bytes

// Quote makes a text of a request or configuration fit for a line: at most 200 bytes of it, in ASCII.
func Quote(text string) string {
	if len(text) > maxQuoted {
		text = text[:maxQuoted]
	}
	return strconv.QuoteToASCII(text)
}
