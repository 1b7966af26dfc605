package request

import (
	"io"
	"net/http"
)

// GuardTrailers keeps a request's trailers free of some names, whoever reads the body. net/http adds trailers when the body
// ends: in HTTP/1 whatever a chunked body brings, announced or not; in later versions what was announced.
func GuardTrailers(req *http.Request, names *Names) {
	names.RemoveFrom(req.Trailer)
	if req.Body != nil && (req.ContentLength < 0 || req.Trailer != nil) {
		req.Body = &guardedBody{body: req.Body, req: req, names: names}
	}
}

// guardedBody removes trailers in the very call that has net/http add them, so nobody sees them in between.
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
