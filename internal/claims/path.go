// Package claims knows how claims are named, compared and written: paths, expressions, and values of headers. It knows
// nothing of tokens, signatures, times or HTTP.
package claims

import "strings"

// Path is where a claim is: the names of the objects it is in, and its own.
type Path []string

// ParsePath splits a path at its dots; "\." is a dot and "\\" a backslash within a name.
func ParsePath(text string) Path {
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

// In follows the path into a claim; nil is what is absent.
func (p Path) In(claim any) any {
	for _, name := range p {
		object, isObject := claim.(map[string]any)
		if !isObject {
			return nil
		}
		claim = object[name]
	}
	return claim
}
