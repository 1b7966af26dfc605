// Package claims knows how claims are named, compared and written: paths, expressions, and values of headers. It knows
// nothing of tokens, signatures, times or HTTP.
package claims

import "strings"

// Path leads to a claim: the names of the objects around it, from the outside, and its own.
type Path []string

// ParsePath splits a path at its dots; "\." is a dot and "\\" a backslash within a name. One that holds "://" and no such escape is
// a single name, dots and all: some providers name claims by URLs.
func ParsePath(text string) Path {
	if strings.Contains(text, "://") && !strings.Contains(text, `\`) {
		return Path{text}
	}
	path := Path{}
	var name strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && (text[i+1] == '.' || text[i+1] == '\\'):
			i++
			name.WriteByte(text[i])
		case text[i] == '.':
			path = append(path, name.String())
			name.Reset()
		default:
			name.WriteByte(text[i])
		}
	}
	return append(path, name.String())
}

// In follows a path into a claim; nil means that there is nothing.
func In(path Path, claim any) any {
	for _, name := range path {
		object, isObject := claim.(map[string]any)
		if !isObject {
			return nil
		}
		claim = object[name]
	}
	return claim
}
