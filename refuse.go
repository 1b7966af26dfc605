package slidingjwt

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/logline"
)

// refusal is a reason not to serve a request, and the fixed answer that the client gets.
type refusal struct {
	status int
	code   string // the reason's code: the end of the problem's type, and in the log
	phrase string // error_description (RFC 6750 3) and the problem's detail
	err    string // the challenge's error (RFC 6750 3.1); empty: none
	final  bool   // the token can never be accepted again, so its cookie is cleared

	retryAfter int    // seconds, of a 503
	allow      string // the methods, of a 405

	body   []byte   // the problem (RFC 9457), made with the refusal …
	length []string // … and its Content-Length
}

// refusals are all refusals that exist; newRefusal adds to them.
var refusals []*refusal

// newRefusal makes a refusal and its problem, which is the same for each request, and adds it to refusals.
func newRefusal(r refusal) *refusal {
	r.body = []byte(`{"type":"` + problemType + r.code + `","title":"` + http.StatusText(r.status) + `","status":` + strconv.Itoa(r.status) +
		`,"detail":"` + r.phrase + `"}` + "\n")
	r.length = []string{strconv.Itoa(len(r.body))}
	refusals = append(refusals, &r)
	return &r
}

// problemType is the start of a problem's type: the page that explains the reasons.
const problemType = "https://github.com/slidingjwt/slidingjwt/blob/main/docs/reasons.md#"

func badRequest(code, phrase string) *refusal {
	return newRefusal(refusal{status: http.StatusBadRequest, code: code, phrase: phrase, err: "invalid_request"})
}

func invalidToken(code, phrase string) *refusal {
	return newRefusal(refusal{status: http.StatusUnauthorized, code: code, phrase: phrase, err: "invalid_token"})
}

// neverValid is an invalidToken that no later key, clock or configuration will accept.
func neverValid(code, phrase string) *refusal {
	return newRefusal(refusal{status: http.StatusUnauthorized, code: code, phrase: phrase, err: "invalid_token", final: true})
}

var (
	refuseNoToken = newRefusal(refusal{status: http.StatusUnauthorized, code: "token_missing", phrase: "no token was sent"})

	refuseMalformedHeader = badRequest("malformed_authorization", "the header with the token is malformed")
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
	refuseTooOld     = invalidToken("token_too_old", "the token was issued too long ago to be exchanged")
	refuseEnded      = neverValid("session_ended", "the session has ended")
	refuseRevoked    = neverValid("token_revoked", "the token was revoked")

	refuseStepUp = newRefusal(refusal{status: http.StatusUnauthorized, code: "insufficient_user_authentication", phrase: "the user has to log in again, or by other means", err: "insufficient_user_authentication"})

	refuseCrossSite = newRefusal(refusal{status: http.StatusForbidden, code: "cross_site", phrase: "the request comes from another site"})
	refuseScope     = newRefusal(refusal{status: http.StatusForbidden, code: "insufficient_scope", phrase: "the token lacks a scope", err: "insufficient_scope"})
	refusePolicy    = newRefusal(refusal{status: http.StatusForbidden, code: "claims_not_sufficient", phrase: "the token's claims do not suffice", err: "insufficient_scope"})

	refuseUnavailable   = newRefusal(refusal{status: http.StatusServiceUnavailable, code: "keys_unavailable", phrase: "the keys to check the token are not available"})
	refuseIssuing       = newRefusal(refusal{status: http.StatusBadGateway, code: "issue_failed", phrase: "the token could not be issued"})
	refuseMethod        = newRefusal(refusal{status: http.StatusMethodNotAllowed, code: "method_not_allowed", phrase: "only GET and HEAD are served here", allow: "GET, HEAD"})
	refuseNotPost       = newRefusal(refusal{status: http.StatusMethodNotAllowed, code: "method_not_allowed", phrase: "only POST is served here", allow: "POST"})
	refuseNoRevocations = newRefusal(refusal{status: http.StatusServiceUnavailable, code: "revocations_unavailable", phrase: "the list of revoked tokens is not available"})
	refuseLogout        = newRefusal(refusal{status: http.StatusMethodNotAllowed, code: "method_not_allowed", phrase: "only GET and POST are served here", allow: "GET, POST"})
)

// refuse answers a request that is not served: a challenge (RFC 6750 3), a problem (RFC 9457), and for gRPC
// callers a trailers-only answer. One line is logged, which never holds the token.
func refuse(s *settings, rw http.ResponseWriter, req *http.Request, name string, r *refusal, c credential) {
	logline.Debug("refused %s: middleware %+q, from %+.200q, %s", r.code, name, req.RemoteAddr, logline.Quote(req.Method+" "+req.URL.Path))
	h := rw.Header()
	h["Cache-Control"] = noStore
	if c.inCookie || r.status > http.StatusForbidden || req.Header["Content-Type"] != nil {
		if explain(s, rw, req, r, c) {
			return
		}
	}
	if r.status == http.StatusUnauthorized && s.login != "" && sendToLogin(s, h, req) {
		rw.WriteHeader(http.StatusFound)
		return
	}
	if challenge := s.challenges[r.code]; challenge != nil {
		h["Www-Authenticate"] = challenge
	}
	h["Content-Type"] = problemJSON
	h["Content-Length"] = r.length
	rw.WriteHeader(r.status)
	if req.Method != http.MethodHead {
		_, _ = rw.Write(r.body) //nolint:gosec // It holds no input of the client. A failure means that the client is gone.
	}
}

var problemJSON = []string{"application/problem+json"}

// explain adds what only some refusals have: the clearing of a cookie, Retry-After, Allow. It answers gRPC callers completely, and is
// true then.
func explain(s *settings, rw http.ResponseWriter, req *http.Request, r *refusal, c credential) bool {
	h := rw.Header()
	if c.inCookie && r.final {
		h["Set-Cookie"] = append(h["Set-Cookie"], s.cookie.clearing())
	}
	if r.status == http.StatusServiceUnavailable {
		h["Retry-After"] = []string{strconv.Itoa(r.retryAfter)}
	}
	if isGRPC(req) {
		refuseGRPC(rw, r)
		return true
	}
	if r.status == http.StatusMethodNotAllowed {
		h["Allow"] = []string{r.allow}
	}
	return false
}

// unavailable refuses a request because keys are missing, and says when to try again.
func unavailable(retryAfter time.Duration) *refusal { return retryLater(refuseUnavailable, retryAfter) }

// retryLater is a refusal that says when to try again.
func retryLater(refused *refusal, retryAfter time.Duration) *refusal {
	r := *refused
	r.retryAfter = int(later(retryAfter, time.Second) / time.Second)
	return &r
}

func isUnavailable(r *refusal) bool { return r != nil && r.status == http.StatusServiceUnavailable }

// challenges are the WWW-Authenticate headers of the refusals that have one (RFC 6750 3), by the refusal's code.
func challenges(realm string, scopes []string, stepUp stepUpSettings) map[string][]string {
	all := map[string][]string{}
	for _, r := range refusals {
		text := `Bearer realm="` + realm + `"`
		if r.err != "" {
			text += `, error="` + r.err + `", error_description="` + r.phrase + `"`
		}
		if r == refuseScope {
			text += `, scope="` + strings.Join(scopes, " ") + `"`
		}
		if r == refuseStepUp {
			text += stepUp.parameters
		}
		if r.err != "" || r.status == http.StatusUnauthorized {
			all[r.code] = []string{text}
		}
	}
	return all
}

// isGRPC says whether a caller speaks gRPC, which is POST over HTTP/2 or later. Any other caller would take the 200 of a gRPC
// refusal for success.
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
