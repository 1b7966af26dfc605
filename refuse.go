package slidingjwt

import (
	"fmt"
	"log"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// refusal is why a request is not served: what the client is told, in fixed phrases.
type refusal struct {
	status int
	code   string // the reason's code: the end of the problem's type, and in the log
	phrase string // error_description (RFC 6750 3) and the problem's detail
	err    string // error (RFC 6750 3.1)
	final  bool   // the token can never be accepted again, so its cookie is cleared

	retryAfter int // seconds, of a 503

	body   []byte   // the problem (RFC 9457), made with the refusal …
	length []string // … and its Content-Length
}

// newRefusal writes a refusal's problem once and for all: nothing in it is the request's.
func newRefusal(r refusal) *refusal {
	r.body = []byte(`{"type":"` + problemType + r.code + `","title":"` + http.StatusText(r.status) + `","status":` + strconv.Itoa(r.status) +
		`,"detail":"` + r.phrase + `"}` + "\n")
	r.length = []string{strconv.Itoa(len(r.body))}
	return &r
}

// problemType is where a person reads what a reason means.
const problemType = "https://github.com/slidingjwt/slidingjwt/blob/main/docs/reasons.md#"

func badRequest(code, phrase string) *refusal {
	return newRefusal(refusal{status: http.StatusBadRequest, code: code, phrase: phrase, err: "invalid_request"})
}

func invalidToken(code, phrase string) *refusal {
	return newRefusal(refusal{status: http.StatusUnauthorized, code: code, phrase: phrase, err: "invalid_token"})
}

// neverValid is an invalidToken that no later key, clock or configuration of ours will accept.
func neverValid(code, phrase string) *refusal {
	return newRefusal(refusal{status: http.StatusUnauthorized, code: code, phrase: phrase, err: "invalid_token", final: true})
}

var (
	refuseNoToken = newRefusal(refusal{status: http.StatusUnauthorized, code: "token_missing", phrase: "no token was sent"})

	refuseMalformedHeader = badRequest("malformed_authorization", "the Authorization header is malformed")
	refuseMalformedForm   = badRequest("malformed_form", "the form could not be read")
	refuseTooMany         = badRequest("too_many_parts", "the request has more cookies, parameters or connection options than are searched")
	refuseTwoTokens       = badRequest("multiple_tokens", "more than one token was sent")
	refuseTooLong         = newRefusal(refusal{status: http.StatusBadRequest, code: "token_too_long", phrase: "the token is longer than 8 KiB", err: "invalid_request", final: true})

	refuseMalformed  = neverValid("token_malformed", "the token is malformed")
	refuseCritical   = neverValid("unsupported_header", "the token demands an extension that is not supported")
	refuseType       = invalidToken("wrong_type", "the token is of another type")
	refuseAlgorithm  = invalidToken("wrong_algorithm", "the token's algorithm is not allowed")
	refuseUnknownKey = invalidToken("unknown_key", "the token's key is not known")
	refuseSignature  = invalidToken("bad_signature", "the token's signature is wrong")
	refuseClaims     = neverValid("malformed_claims", "a claim of the token is missing or malformed")
	refuseNoExpiry   = neverValid("no_expiry", "the token has no expiry")
	refuseExpired    = neverValid("token_expired", "the token has expired")
	refuseNotYet     = invalidToken("token_not_yet_valid", "the token is not valid yet")
	refuseIssuedLate = invalidToken("issued_in_future", "the token was issued in the future")
	refuseIssuer     = invalidToken("wrong_issuer", "the token is from another issuer")
	refuseAudience   = invalidToken("wrong_audience", "the token is for another audience")
	refuseBound      = neverValid("bound_token", "the token is bound to a key whose proof is not checked here")

	refuseCrossSite = newRefusal(refusal{status: http.StatusForbidden, code: "cross_site", phrase: "the request comes from another site"})
	refuseScope     = newRefusal(refusal{status: http.StatusForbidden, code: "insufficient_scope", phrase: "the token lacks a scope", err: "insufficient_scope"})
	refusePolicy    = newRefusal(refusal{status: http.StatusForbidden, code: "claims_not_sufficient", phrase: "the token's claims do not suffice", err: "insufficient_scope"})

	refuseUnavailable = newRefusal(refusal{status: http.StatusServiceUnavailable, code: "keys_unavailable", phrase: "the keys to check the token are not available"})
	refuseIssuing     = newRefusal(refusal{status: http.StatusBadGateway, code: "issue_failed", phrase: "the token could not be issued"})
	refuseMethod      = newRefusal(refusal{status: http.StatusMethodNotAllowed, code: "method_not_allowed", phrase: "only GET and HEAD are served here"})
)

// refuse answers a request that is not served: a challenge (RFC 6750 3), a problem (RFC 9457), and for gRPC
// callers a trailers-only answer. One line is logged, which never holds the token.
//
// Yaegi: fmt.Printf goes to the interpreter's standard output, which Traefik logs as debug. One call of it costs
// less than a text that is put together here.
func refuse(s *settings, rw http.ResponseWriter, req *http.Request, name string, r *refusal, p presented) {
	request := req.Method + " " + req.URL.Path
	if len(request) > maxLogged {
		request = request[:maxLogged]
	}
	fmt.Printf("slidingjwt: refused %s: middleware %+q, from %+.200q, %+q\n", r.code, name, req.RemoteAddr, request)
	h := rw.Header()
	h["Cache-Control"] = noStore
	if p.cookie || r.status > http.StatusForbidden || req.Header["Content-Type"] != nil {
		if explain(s, rw, req, r, p) {
			return
		}
	}
	if challenge := s.challenges[r.code]; challenge != nil {
		h["Www-Authenticate"] = challenge
	}
	h["Content-Type"] = problemJSON
	h["Content-Length"] = r.length
	rw.WriteHeader(r.status)
	if req.Method != http.MethodHead {
		_, _ = rw.Write(r.body) //nolint:gosec // Nothing in it is the client's. A failure means that the client is gone.
	}
}

var problemJSON = []string{"application/problem+json"}

// explain adds to a refusal what not every one has. To a gRPC caller it gives the whole answer, and says so.
func explain(s *settings, rw http.ResponseWriter, req *http.Request, r *refusal, p presented) bool {
	h := rw.Header()
	if p.cookie && r.final {
		h["Set-Cookie"] = append(h["Set-Cookie"], cookieLine(s, "", 0))
	}
	if r.status == http.StatusServiceUnavailable {
		h["Retry-After"] = []string{strconv.Itoa(r.retryAfter)}
	}
	if isGRPC(req) {
		refuseGRPC(rw, r)
		return true
	}
	if r.status == http.StatusMethodNotAllowed {
		h["Allow"] = []string{"GET, HEAD"}
	}
	return false
}

// unavailable refuses until keys may be there, in so many seconds.
func unavailable(retryAfter int) *refusal {
	r := *refuseUnavailable
	if retryAfter < 1 {
		retryAfter = 1
	}
	r.retryAfter = retryAfter
	return &r
}

// refusals are all of them.
var refusals = []*refusal{
	refuseNoToken, refuseMalformedHeader, refuseMalformedForm, refuseTooMany, refuseTwoTokens, refuseTooLong,
	refuseMalformed, refuseCritical, refuseType, refuseAlgorithm, refuseUnknownKey, refuseSignature,
	refuseClaims, refuseNoExpiry, refuseExpired, refuseNotYet, refuseIssuedLate, refuseIssuer,
	refuseAudience, refuseBound, refuseCrossSite, refuseScope, refusePolicy, refuseUnavailable,
	refuseIssuing, refuseMethod,
}

// challenges are the WWW-Authenticate of each refusal that has one (RFC 6750 3), by its code.
func challenges(c *Config) map[string][]string {
	all := map[string][]string{}
	for _, r := range refusals {
		text := `Bearer realm="` + c.Realm + `"`
		if r.err != "" {
			text += `, error="` + r.err + `", error_description="` + r.phrase + `"`
		}
		if r == refuseScope {
			text += `, scope="` + strings.Join(c.Scopes, " ") + `"`
		}
		if r.err != "" || r.status == http.StatusUnauthorized {
			all[r.code] = []string{text}
		}
	}
	return all
}

// isGRPC says whether a caller speaks gRPC, which is POST over HTTP/2 or later. Anybody else would take the 200 of its
// refusals for a yes.
func isGRPC(req *http.Request) bool {
	kind := req.Header.Get("Content-Type")
	return req.Method == http.MethodPost && req.ProtoMajor >= 2 && (kind == "application/grpc" || strings.HasPrefix(kind, "application/grpc+"))
}

// refuseGRPC answers as the gRPC protocol's "Trailers-Only": the status is in the headers of a 200.
func refuseGRPC(rw http.ResponseWriter, r *refusal) {
	status := map[int]string{
		http.StatusForbidden: "7", http.StatusMethodNotAllowed: "12", http.StatusBadGateway: "14", http.StatusServiceUnavailable: "14",
	}[r.status]
	if status == "" {
		status = "16"
	}
	h := rw.Header()
	h["Content-Type"] = []string{"application/grpc"}
	h["Grpc-Status"] = []string{status}
	h["Grpc-Message"] = []string{url.PathEscape(r.code + ": " + r.phrase)}
	rw.WriteHeader(http.StatusOK)
}

// logDebug writes a line to Traefik's log at the debug level.
//
// Yaegi: fmt.Println goes to the interpreter's standard output, which Traefik logs as debug, and package log
// to its standard error, which Traefik logs as error.
func logDebug(text string) { fmt.Println("slidingjwt: " + text) } //nolint:forbidigo // This is how a plugin logs.

func logWarning(format string, args ...any) {
	log.Println("slidingjwt: warning: " + fmt.Sprintf(format, args...))
}

func logError(format string, args ...any) {
	log.Println("slidingjwt: " + fmt.Sprintf(format, args...)) //nolint:gosec // What is not ours is quoted.
}

const maxLogged = 200 // bytes

// quote makes a request's or configuration's text fit for a log line.
func quote(text string) string {
	if len(text) > maxLogged {
		text = text[:maxLogged]
	}
	return strconv.QuoteToASCII(text)
}

// seconds are a time as a NumericDate (RFC 7519 2).
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
