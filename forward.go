package slidingjwt

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
)

const maxHeaderValueBytes = 4 << 10

// forwardedHeader is the path of the claim that a header carries.
type forwardedHeader struct {
	first  string   // of the path …
	rest   []string // … and the others
	isDeep bool     // there are others
}

// ordinaryHeaders are the request headers that are seen every day. A request that has no others, and no value
// for the forwarded ones, holds no spelling of a forwarded header.
var ordinaryHeaders = strings.Fields(`
	Accept Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Headers Authorization Baggage
	Cache-Control Content-Encoding Content-Language Content-Length Content-Type Cookie Date Dnt Expect From Grpc-Accept-Encoding
	Grpc-Encoding Grpc-Timeout If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since Last-Event-Id
	Max-Forwards Origin Pragma Priority Range Referer Sec-Ch-Ua Sec-Ch-Ua-Arch Sec-Ch-Ua-Bitness Sec-Ch-Ua-Full-Version
	Sec-Ch-Ua-Full-Version-List Sec-Ch-Ua-Mobile Sec-Ch-Ua-Model Sec-Ch-Ua-Platform Sec-Ch-Ua-Platform-Version
	Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User Sec-Gpc Sec-Websocket-Extensions Sec-Websocket-Key
	Sec-Websocket-Protocol Sec-Websocket-Version Te Traceparent Tracestate Upgrade Upgrade-Insecure-Requests User-Agent
	Via X-Correlation-Id X-Csrf-Token X-Forwarded-For X-Forwarded-Host X-Forwarded-Port X-Forwarded-Prefix
	X-Forwarded-Proto X-Forwarded-Server X-Forwarded-Tls-Client-Cert X-Forwarded-Tls-Client-Cert-Info X-Real-Ip
	X-Request-Id X-Requested-With`)

// nameSet holds headers' names as normalize writes them, and their lengths, which no spelling changes.
type nameSet struct {
	names   map[string]bool
	lengths map[int]bool
}

func newNameSet(names ...string) nameSet {
	set := nameSet{names: map[string]bool{}, lengths: map[int]bool{}}
	for _, name := range names {
		set.names[normalize(name)] = true
		set.lengths[len(name)] = true
	}
	return set
}

// nowhere is a writer that fails, and so ends http.Header.WriteSubset at the first header that it would write.
//
// Yaegi: a compiled type, since a wrapper is made of an interpreted one at each call.
var nowhere = closedPipe()

func closedPipe() *io.PipeWriter {
	_, w := io.Pipe()
	_ = w.Close() // It never fails.
	return w
}

// removeSpellings removes every spelling of the forwarded headers from a request: services differ in which
// of X-User-Id, X_User_Id and X.User.Id they take for the same.
func removeSpellings(s *settings, req *http.Request) {
	if len(s.forward) == 0 {
		return
	}
	guardTrailers(req, s.spellings)
	if req.Header.WriteSubset(nowhere, s.ordinary) == nil {
		return
	}
	removeNames(req.Header, s.spellings)
	keepOnTheWay(s, req.Header)
}

// keepOnTheWay takes the forwarded headers out of Connection: what it names is dropped on the way to the service, a claim's
// header too (RFC 9110 7.6.1).
func keepOnTheWay(s *settings, h http.Header) {
	lines := h["Connection"]
	if len(lines) == 0 {
		return
	}
	all := strings.Join(lines, ",")
	isNamed := false
	normal := normalize(all)
	for name := range s.spellings.names {
		isNamed = isNamed || strings.Contains(normal, name)
	}
	if !isNamed {
		return
	}
	var kept []string
	for _, option := range strings.Split(all, ",") {
		if option = strings.TrimSpace(option); option != "" && !s.spellings.names[normalize(option)] {
			kept = append(kept, option)
		}
	}
	delete(h, "Connection")
	if len(kept) > 0 {
		h["Connection"] = []string{strings.Join(kept, ", ")}
	}
}

// unsurprisingHeaders are the ordinary ones that may come with a request whose token is in Authorization.
func unsurprisingHeaders(s *settings, c *Config) map[string]bool {
	names := map[string]bool{}
	for name := range s.ordinary {
		names[name] = name != "Upgrade" && (name != "Cookie" || c.Cookie.Name == "")
	}
	return names
}

// needServe removes the spellings of forwarded headers among headers that are not all ordinary, and says whether one of
// the others is for serve: a cookie that may carry a token, a connection option, a preflight's question.
func needServe(s *settings, h http.Header) bool {
	if h["Connection"] != nil || h["Upgrade"] != nil || h["Access-Control-Request-Method"] != nil || s.config.Cookie.Name != "" && h["Cookie"] != nil {
		return true
	}
	removeNames(h, s.spellings)
	return false
}

// removeNames deletes the headers whose normalized name is in the set.
func removeNames(h http.Header, set nameSet) {
	for name := range h {
		if set.lengths[len(name)] && set.names[normalize(name)] {
			delete(h, name)
		}
	}
}

// normalize writes a header's name in lower case, with a hyphen for each character that is no letter or digit.
func normalize(name string) string {
	return strings.ToLower(hyphens.Replace(name))
}

// hyphens has the characters that a header's name may hold beside letters and digits (RFC 9110 5.6.2), and a few it may not.
var hyphens = strings.NewReplacer("!", "-", "#", "-", "$", "-", "%", "-", "&", "-", "'", "-", "*", "-", "+", "-", ".", "-",
	"^", "-", "_", "-", "`", "-", "|", "-", "~", "-", " ", "-", "/", "-", ":", "-", "@", "-", "\\", "-")

// methodOverrides are headers that make some services take a request for one of another method.
var methodOverrides = newNameSet("X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override")

// claimPath splits a claim's path at its dots; "\." is a dot and "\\" a backslash within a name.
func claimPath(text string) []string {
	var path []string
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

// lookup follows a path into a claim; nil is what is absent.
func lookup(claim any, path []string) any {
	for _, name := range path {
		object, isObject := claim.(map[string]any)
		if !isObject {
			return nil
		}
		claim = object[name]
	}
	return claim
}

// scalar writes a string, number or boolean.
func scalar(claim any) (string, bool) {
	switch v := claim.(type) {
	case string:
		return v, true
	case json.Number:
		return string(v), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

// deriveHeaders derives the headers that a token sets. In a plain text where no string has a space at an end or is too long,
// they need no look of their own; numbers are not as they are written there, unless an expression asked for them.
func deriveHeaders(s *settings, e *entry, claims map[string]any, payload []byte, isPlain bool) {
	isExact := s.reckons
	if !isPlain {
		isExact = true
	}
	if bytes.Contains(payload, spaceBefore) {
		isPlain = false
	}
	if len(payload) > maxHeaderValueBytes {
		isPlain = false
	}
	var claim any
	var text string
	var fits, isAbsent bool
	values := make([][]string, len(s.names))
	for i, header := range s.forward {
		claim = claims[header.first]
		if header.isDeep {
			claim = lookup(claim, header.rest)
		}
		fits = false
		if claim != nil {
			text, fits = claim.(string) // Yaegi: if it does not fit, the text of the header before stays.
			if !fits {
				text, fits = joined(claim)
			}
			if !fits {
				if !isExact {
					claims = exactObject(payload)
					isExact = true
					claim = claimOf(claims, header)
				}
				text, fits = written(claim)
			}
			if !isPlain {
				if fits {
					fits = isSendable(text)
				}
			}
		}
		if fits {
			values[i] = []string{text}
		} else {
			isAbsent = true
		}
	}
	e.names = s.names
	e.values = values
	if isAbsent {
		dropAbsent(e)
	}
}

// dropAbsent leaves an entry the headers that have a value.
func dropAbsent(e *entry) {
	var names []string
	var values [][]string
	for i, value := range e.values {
		if value != nil {
			names = append(names, e.names[i])
			values = append(values, value)
		}
	}
	e.names, e.values = names, values
}

// claimOf returns the claim that a header carries; nil if it is absent.
func claimOf(claims map[string]any, header forwardedHeader) any {
	return lookup(claims[header.first], header.rest)
}

// joined joins a list of strings by commas, if a claim is one, and none of them has a comma.
func joined(claim any) (string, bool) {
	list, _ := claim.([]any)
	var text, word string
	var fits bool
	for _, element := range list {
		word, fits = element.(string)
		if !fits {
			return "", false
		}
		text += "," + word
	}
	if text == "" {
		return "", false
	}
	if strings.Count(text, ",") != len(list) {
		return "", false
	}
	return text[1:], true
}

// written writes a claim as a header's value: strings as they are, numbers and booleans as in the token, lists of scalars
// joined by commas, of which no element has one, the rest as compact JSON. False is a claim that leaves its header absent.
func written(claim any) (string, bool) {
	list, isList := claim.([]any)
	if !isList {
		return writtenAlone(claim)
	}
	var texts []string
	for _, element := range list {
		text, isScalar := scalar(element)
		if !isScalar {
			return unjoined(list)
		}
		texts = append(texts, text)
	}
	text := strings.Join(texts, ",")
	if strings.Count(text, ",") != len(list)-1 {
		return text, text == ""
	}
	return text, true
}

// writtenAlone writes a claim that is no list.
func writtenAlone(claim any) (string, bool) {
	if object, isObject := claim.(map[string]any); isObject {
		return compactJSON(object)
	}
	return scalar(claim)
}

// isSendable says whether a value arrives as it is: space at an end is lost on the way, and "ada " would arrive as ada.
func isSendable(text string) bool {
	return len(text) <= maxHeaderValueBytes && !hasControl(text) && strings.Trim(text, " ") == text
}

// unjoined writes a list of more than scalars, which is none if all that it holds beside them is null.
func unjoined(list []any) (string, bool) {
	for _, element := range list {
		if _, isScalar := scalar(element); !isScalar && element != nil {
			return compactJSON(list)
		}
	}
	return "", false
}

// compactJSON may be longer than what was read: U+2028 becomes an escape.
func compactJSON(value any) (string, bool) {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "", false
	}
	line := strings.TrimSuffix(text.String(), "\n")
	return line, len(line) <= maxHeaderValueBytes && utf8.ValidString(line)
}
