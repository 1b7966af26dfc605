package request

import (
	"io"
	"net/http"
)

// GuardTrailers removes some names from a request's trailers, whoever reads the body. net/http adds trailers when the body
// ends: in HTTP/1 whatever a chunked body brings, announced or not; in later versions what was announced.
func GuardTrailers(req *http.Request, names *Names) {
	names.RemoveFrom(req.Trailer)
	if req.Body != nil && (req.ContentLength < 0 || req.Trailer != nil) {
		req.Body = &guardedBody{body: req.Body, req: req, names: names}
	}
}

// guardedBody removes trailers in the same call in which net/http adds them, so that no reader sees them in between.
type guardedBody struct {
	body  io.ReadCloser
	req   *http.Request
	names *Names
}

func (b *guardedBody) Read(data []byte) (int, error) {
	n, err := b.body.Read(data)
	if err != nil {
		b.names.RemoveFrom(b.req.Trailer)
	}
	return n, err
}

// Close reads what is left of a short body.
func (b *guardedBody) Close() error {
	err := b.body.Close()
	b.names.RemoveFrom(b.req.Trailer)
	return err
}
