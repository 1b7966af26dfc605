package main

import (
	"bufio"
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

// shape is a request that a stranger makes costly to refuse.
type shape struct {
	name   string
	method string // GET by default
	query  string
	fields [][2]string
	tokens []string // lines of Authorization, in turn: the header of the last token is remembered
	body   string   // over HTTP/2 each byte is a frame of its own
	http2  bool     // over HTTP/2, where HPACK writes a field that is repeated in a byte or two (RFC 7541)
	passes bool     // It needs no token: it is served, unless it is too much.
}

// priced is what a shape costs the gateway.
type priced struct {
	Name  string  `json:"name"`
	Bytes float64 `json:"bytes"`   // sent for each request
	CPU   float64 `json:"cpu"`     // microseconds of the gateway's a request …
	Own   float64 `json:"own"`     // … and beyond what it takes without the plugin
	Whole float64 `json:"xForged"` // CPU, as a multiple of a forged token's
	Times float64 `json:"xOwn"`    // Own, as a multiple of a forged token's
}

// costs are what is written.
type costs struct {
	When  string   `json:"when"`
	CPU   string   `json:"cpu"`
	Cores int      `json:"cores"`
	Rows  []priced `json:"rows"`
}

const (
	strangers    = 4        // connections
	shapeRoom    = 60 << 10 // bytes of a request that is as large as it may be
	payloadRoom  = 5900     // of a payload, so that its token is not too long
	repeatedRoom = 3900     // of what HPACK keeps to be repeated
)

// price measures what it costs to refuse each shape: a guard that looks for the token everywhere, beside the same requests
// without the plugin, and beside a forged token of ordinary size, measured just before and after.
func price(ctx context.Context, s settings) error {
	duration := 500 * time.Millisecond
	if s.short {
		duration = 150 * time.Millisecond
	}
	key, err := rsa.GenerateKey(cryptorand.Reader, 2048)
	if err != nil {
		return err
	}
	private, _, err := pemOf(key)
	if err != nil {
		return err
	}
	g, err := startGateway(ctx, s, nil, map[string]any{"http": map[string]any{
		"routers": map[string]any{
			"guarded": map[string]any{"rule": "PathPrefix(`/guarded`)", "middlewares": []string{"guarded"}, "service": "noop@internal"},
			"bare":    map[string]any{"rule": "PathPrefix(`/bare`)", "service": "noop@internal"}, // It answers 418.
		},
		"middlewares": map[string]any{"guarded": middleware(map[string]any{
			"privateKey": private, "signingSecret": hmacSecret, "tokenKey": "access_token", "cookie": map[string]any{"name": "session"},
		})},
	}})
	if err != nil {
		return err
	}
	defer g.Stop()
	rs256, err1 := mint(0, 100, jwt.SigningMethodRS256, key, nil)
	hs256, err2 := mint(0, 100, jwt.SigningMethodHS256, []byte(hmacSecret), nil)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	forgedOver1 := shape{name: "forged token, RS256", tokens: forged(rs256)}
	forgedOver2 := shape{name: "forged token, RS256, HTTP/2", tokens: forged(rs256)[:2], http2: true}
	all := slices.Concat([]shape{{name: "forged token, HS256", tokens: forged(hs256)}}, costlyTokens(), costlyParts(), costlyHeaders(), costlyRepeats())
	if s.only != "" {
		wanted, err := regexp.Compile(s.only)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(one shape) bool { return !wanted.MatchString(one.name) })
	}
	found := costs{When: time.Now().UTC().Format(time.DateTime + "Z"), CPU: processor(), Cores: runtime.NumCPU()}
	var before priced
	for i, one := range all {
		plain := forgedOver1
		if one.http2 {
			plain = forgedOver2
		}
		if i == 0 || one.http2 != all[i-1].http2 {
			if before, err = charge(ctx, g, plain, duration); err != nil {
				return err
			}
			before.Whole, before.Times = 1, 1
			found.Rows = append(found.Rows, before)
		}
		this, err1 := charge(ctx, g, one, duration)
		after, err2 := charge(ctx, g, plain, duration)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		this.Whole = this.CPU / ((before.CPU + after.CPU) / 2)
		this.Times = this.Own / ((before.Own + after.Own) / 2)
		before = after
		found.Rows = append(found.Rows, this)
		fmt.Fprintf(os.Stderr, "shape %d of %d\n", i+1, len(all))
	}
	printCosts(os.Stdout, found)
	if s.only != "" {
		return nil
	}
	text, err := json.MarshalIndent(found, "", "\t")
	if err != nil {
		return err
	}
	return write(s, "cost.json", append(text, '\n'))
}

func printCosts(w io.Writer, found costs) {
	fmt.Fprintf(w, "\n%s, %d cores: what a stranger's request costs the gateway before it is refused\n\n", found.CPU, found.Cores)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "bytes sent\tgateway CPU µs\tof forged\tthe plugin's µs\tof forged\t  \t")
	for _, r := range found.Rows {
		fmt.Fprintf(table, "%.0f\t%.0f\t%.1f\t%.0f\t%.1f\t\t%s\n", r.Bytes, r.CPU, r.Whole, r.Own, r.Times, r.Name)
	}
	_ = table.Flush()
	fmt.Fprintln(w, "\nof forged: a multiple of what a forged token of ordinary size costs over the same protocol, just before and after.")
}

// charge measures a shape, with the plugin and without.
func charge(ctx context.Context, g *gateway.Gateway, one shape, duration time.Duration) (priced, error) {
	with, sent, err := besiege(ctx, g, one, "/guarded", duration)
	if err != nil {
		return priced{}, fmt.Errorf("%s: %w", one.name, err)
	}
	without, _, err := besiege(ctx, g, one, "/bare", duration)
	if err != nil {
		return priced{}, fmt.Errorf("%s, without the plugin: %w", one.name, err)
	}
	return priced{Name: one.name, Bytes: sent, CPU: with, Own: with - without}, nil
}

// besiege sends a shape for a while on a few connections, and returns the gateway's CPU time a request in microseconds, and
// what was sent for one in bytes.
func besiege(ctx context.Context, g *gateway.Gateway, one shape, path string, duration time.Duration) (cpu, sent float64, err error) {
	var requests, written atomic.Int64
	begin := make(chan struct{})
	failures := make([]error, strangers)
	var ready, group sync.WaitGroup
	ready.Add(strangers)
	for c := range failures {
		group.Go(func() {
			conn, err := approach(g, one, path)
			if err == nil {
				defer func() { conn.close() }()
				err = conn.ask() // The first costs more: of HTTP/2's, it is the one that is sent in full.
			}
			ready.Done()
			<-begin
			for end := time.Now().Add(duration); err == nil && time.Now().Before(end); requests.Add(1) {
				before := conn.sent()
				err = errors.Join(ctx.Err(), conn.ask())
				written.Add(conn.sent() - before)
			}
			failures[c] = err
		})
	}
	ready.Wait()
	before, err1 := cpuTime(g.PID())
	close(begin)
	group.Wait()
	after, err2 := cpuTime(g.PID())
	if err := errors.Join(append(failures, err1, err2)...); err != nil {
		return 0, 0, err
	}
	n := float64(requests.Load())
	return microseconds(after-before) / n, float64(written.Load()) / n, nil
}

// stranger is a connection that sends one shape again and again.
type stranger struct {
	shape  shape
	path   string
	host   string
	conn   net.Conn
	reader *bufio.Reader
	count  *countingWriter
	next   int
	texts  []string // the requests, of HTTP/1.1

	// Of HTTP/2.
	buffer  *bufio.Writer
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	stream  uint32
}

type countingWriter struct {
	io.Writer
	n int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	return w.Writer.Write(p)
}

func approach(g *gateway.Gateway, one shape, path string) (*stranger, error) {
	a := &stranger{shape: one, path: path + one.query, host: strings.TrimPrefix(g.URL(), "http://")}
	if a.shape.method == "" {
		a.shape.method = http.MethodGet
	}
	if len(a.shape.tokens) == 0 {
		a.texts = []string{a.written(nil)}
	}
	for _, line := range a.shape.tokens {
		a.texts = append(a.texts, a.written(authorization(line)))
	}
	return a, a.dial()
}

func (a *stranger) close() { _ = a.conn.Close() }

func (a *stranger) sent() int64 { return a.count.n }

func (a *stranger) dial() error {
	conn, err := net.Dial("tcp", a.host)
	if err != nil {
		return err
	}
	if a.count == nil {
		a.count = &countingWriter{}
	}
	a.conn, a.reader, a.count.Writer = conn, bufio.NewReader(conn), conn
	if !a.shape.http2 {
		return nil
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return err
	}
	a.buffer = bufio.NewWriterSize(a.count, 128<<10)
	a.framer = http2.NewFramer(a.buffer, a.reader)
	a.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	a.encoder = hpack.NewEncoder(&a.block)
	a.stream = 1
	// Room for all answers.
	return errors.Join(a.framer.WriteSettings(), a.framer.WriteWindowUpdate(0, 1<<30), a.buffer.Flush())
}

// written is the request as HTTP/1.1 has it, with more fields.
func (a *stranger) written(more [][2]string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", a.shape.method, a.path, a.host)
	for _, field := range slices.Concat(a.shape.fields, more) {
		text.WriteString(field[0] + ": " + field[1] + "\r\n")
	}
	switch {
	case strings.HasPrefix(a.shape.body, chunked):
		text.WriteString("Transfer-Encoding: chunked\r\n")
	case a.shape.body != "":
		text.WriteString("Content-Length: " + strconv.Itoa(len(a.shape.body)) + "\r\n")
	}
	return text.String() + "\r\n" + a.shape.body
}

// chunked begins a body that is written as chunks, with trailers behind them.
const chunked = "1\r\n"

// ask sends the request once, and looks at the answer.
func (a *stranger) ask() error {
	if err := a.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	status, kind, err := 0, "", error(nil)
	if a.shape.http2 {
		status, kind, err = a.askHTTP2()
	} else {
		status, kind, err = a.askHTTP1()
	}
	if err != nil {
		return err
	}
	isServed := status == http.StatusTeapot
	if isServed && (a.shape.passes || strings.HasPrefix(a.path, "/bare")) {
		return nil
	}
	if status < 400 || status > 403 || kind != "application/problem+json" {
		return fmt.Errorf("got %d and %q, want the plugin's refusal, or 418 without it", status, kind)
	}
	return nil
}

func (a *stranger) askHTTP1() (status int, kind string, err error) {
	a.next++
	if _, err := io.WriteString(a.count, a.texts[a.next%len(a.texts)]); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(a.reader, nil)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, "", err
	}
	if resp.Close { // The gateway read no more of the body than it wanted.
		a.close()
		err = a.dial()
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), err
}

// frameRoom is the most that a frame holds by default (RFC 9113 4.2).
const frameRoom = 16 << 10

func (a *stranger) askHTTP2() (status int, kind string, err error) {
	a.block.Reset()
	fields := [][2]string{{":method", a.shape.method}, {":scheme", "http"}, {":authority", a.host}, {":path", a.path}}
	fields = append(fields, a.shape.fields...)
	if len(a.shape.tokens) > 0 {
		a.next++
		fields = append(fields, [2]string{"Authorization", a.shape.tokens[a.next%len(a.shape.tokens)]})
	}
	for _, field := range fields {
		if err := a.encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(field[0]), Value: field[1]}); err != nil {
			return 0, "", err
		}
	}
	first := a.block.Next(frameRoom)
	err = a.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: a.stream, BlockFragment: first, EndHeaders: a.block.Len() == 0, EndStream: a.shape.body == "",
	})
	for err == nil && a.block.Len() > 0 {
		next := a.block.Next(frameRoom)
		err = a.framer.WriteContinuation(a.stream, a.block.Len() == 0, next)
	}
	for i := range len(a.shape.body) {
		err = errors.Join(err, a.framer.WriteData(a.stream, i == len(a.shape.body)-1, []byte{a.shape.body[i]}))
	}
	if err := errors.Join(err, a.buffer.Flush()); err != nil {
		return 0, "", err
	}
	for {
		frame, err := a.framer.ReadFrame()
		if err != nil {
			return 0, "", err
		}
		ended := false
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = errors.Join(a.framer.WriteSettingsAck(), a.buffer.Flush())
			}
		case *http2.PingFrame:
			err = errors.Join(a.framer.WritePing(true, f.Data), a.buffer.Flush())
		case *http2.MetaHeadersFrame:
			status, _ = strconv.Atoi(f.PseudoValue("status"))
			for _, field := range f.RegularFields() {
				if field.Name == "content-type" {
					kind = field.Value
				}
			}
			ended = f.StreamEnded()
		case *http2.DataFrame:
			ended = f.StreamEnded()
		case *http2.RSTStreamFrame:
			if f.StreamID == a.stream && status == 0 { // Else it only wanted no more of a body (RFC 9113 8.1).
				err = fmt.Errorf("the gateway reset the stream: %s", f.ErrCode)
			}
		case *http2.GoAwayFrame:
			err = fmt.Errorf("the gateway went away: %s", f.ErrCode)
		}
		if ended || err != nil {
			a.stream += 2
			return status, kind, err
		}
	}
}

// authorization is what a request with that line of it has.
func authorization(line string) [][2]string { return [][2]string{{"Authorization", line}} }

// unsigned is the line of a token that nobody signed.
func unsigned(header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return "Bearer " + encode([]byte(header)) + "." + encode([]byte(payload)) + "." + encode(make([]byte, 32))
}

// filled repeats a text up to a number of bytes, without the comma at its end.
func filled(text string, size int) string {
	return strings.TrimSuffix(strings.Repeat(text, size/len(text)), ",")
}

// numbered joins texts with a number in each, up to a number of bytes.
func numbered(format string, size int) string {
	var all strings.Builder
	for i := 0; ; i++ {
		text := fmt.Sprintf(format, strconv.FormatInt(int64(i), 36))
		if all.Len()+len(text) > size {
			return strings.TrimSuffix(all.String(), ",")
		}
		all.WriteString(text)
	}
}

func nested(begin, end string, depth int) string {
	return strings.Repeat(begin, depth) + "1" + strings.Repeat(end, depth)
}

const plainHeader = `{"alg":"HS256","typ":"JWT"}`

// claiming is a payload that is good, with more members.
func claiming(more string) string {
	return fmt.Sprintf(`{"sub":"ada","exp":%d%s}`, time.Now().Unix()+3600, more)
}

// headed are two tokens with that header, each with a kid of its own.
func headed(header string) []string {
	var lines []string
	for _, kid := range []string{"a", "b"} {
		lines = append(lines, unsigned(strings.Replace(header, "%s", kid, 1), claiming("")))
	}
	return lines
}

// costlyTokens are tokens of up to 8 KiB.
func costlyTokens() []shape {
	return []shape{
		{name: "aud of 2,000 empty strings", fields: authorization(unsigned(plainHeader, claiming(`,"aud":[`+filled(`"",`, payloadRoom)+`]`)))},
		{name: "aud of 3,000 numbers", fields: authorization(unsigned(plainHeader, claiming(`,"aud":[`+filled(`1,`, payloadRoom)+`]`)))},
		{name: "payload of many members", fields: authorization(unsigned(plainHeader, claiming(","+numbered(`"%s":0,`, payloadRoom))))},
		{name: "payload of nested objects", fields: authorization(unsigned(plainHeader, claiming(`,"a":`+nested(`{"":`, `}`, payloadRoom/5))))},
		{name: "payload of nested lists", fields: authorization(unsigned(plainHeader, claiming(`,"a":`+nested(`[`, `]`, payloadRoom/2))))},
		{name: "payload of escapes", fields: authorization(unsigned(plainHeader, claiming(`,"a":"`+filled(`\u0061`, payloadRoom)+`"`)))},
		{name: "payload of numbers beyond float64", fields: authorization(unsigned(plainHeader, claiming(`,"a":[`+filled(`1e999,`, payloadRoom)+`]`)))},
		{name: "exp of 5,900 digits", fields: authorization(unsigned(plainHeader, `{"exp":`+filled("9", payloadRoom)+`}`))},
		{name: "JOSE header with tab and 240 nested objects", tokens: headed("{\t" + `"alg":"HS256","kid":"%s","a":` + nested(`{"":`, `}`, 240) + `}`)},
		{name: "JOSE header with tab and nested lists", tokens: headed("{\t" + `"alg":"HS256","kid":"%s","a":` + nested(`[`, `]`, 700) + `}`)},
		{name: "JOSE header with backslash and 240 nested objects", tokens: headed(`{"alg":"HS256","kid":"%s","\u0061":` + nested(`{"":`, `}`, 240) + `}`)},
		{name: "JOSE header with tab, of many members", tokens: headed("{\t" + `"alg":"HS256","kid":"%s",` + numbered(`"%s":0,`, 1400) + `}`)},
		{name: "JOSE header of many members", tokens: headed(`{"alg":"HS256","kid":"%s",` + numbered(`"%s":0,`, 1400) + `}`)},
		{name: "token of 8,000 dots", fields: authorization("Bearer " + filled(".", 8000))},
		{name: "token of 64 KiB", fields: authorization("Bearer " + filled("a.", shapeRoom))},
		{name: "token of 64 KiB of commas", fields: authorization("Bearer " + filled(" ,", shapeRoom) + "a")},
		{name: "another scheme's 64 KiB", fields: authorization("Basic " + filled("a", shapeRoom))},
	}
}

// costlyParts are parameters, fields and cookies.
func costlyParts() []shape {
	form := [2]string{"Content-Type", "application/x-www-form-urlencoded"}
	return []shape{
		{name: "1,000 parameters", query: "?" + filled("a&", 2000)},
		{name: "1,000 parameters of 60 letters", query: "?" + filled(filled("a", 60)+"&", shapeRoom)},
		{name: "1,000 parameters of the token's name, with percents", query: "?" + filled("%61ccess%5Ftoken=&", 17000)},
		{name: "1,000 parameters that hold the same token", query: "?" + filled("access_token=aaa&", 17000)},
		{name: "a parameter's name of 64 KiB", query: "?" + filled("%61", shapeRoom)},
		{name: "64 KiB of parameters", query: "?" + filled("a&", shapeRoom)},
		{name: "1,000 fields", method: http.MethodPost, fields: [][2]string{form}, body: filled("a&", 2000)},
		{name: "1,000 fields of 60 letters", method: http.MethodPost, fields: [][2]string{form}, body: filled(filled("a", 60)+"&", shapeRoom)},
		{name: "1,000 fields of the token's name, with percents", method: http.MethodPost, fields: [][2]string{form}, body: filled("%61ccess%5Ftoken=&", 17000)},
		{
			name: "80 names, 99 connection options, 15 cookies, 15 parameters, 15 fields", method: http.MethodPost,
			query: "?" + filled("access_token=&", 15*14), body: filled("access_token=&", 15*14),
			fields: append(names("X-Us%05x", 80*13), form, [2]string{"Connection", filled("X_User_Id,", 990)}, [2]string{"Cookie", filled("session=; ", 150)}),
		},
		{name: "64 KiB of fields", method: http.MethodPost, fields: [][2]string{form}, body: filled("a&", shapeRoom)},
		{name: "a field of 64 KiB", method: http.MethodPost, fields: [][2]string{form}, body: "access_token=" + filled("%61", shapeRoom)},
		{name: "a form in chunks of a byte", method: http.MethodPost, fields: [][2]string{form}, body: strings.Repeat(chunked+"a\r\n", 10_000) + "0\r\n\r\n"},
		{name: "500 cookies", fields: [][2]string{{"Cookie", filled("a=b; ", 2500)}}},
		{name: "500 cookies that hold the same token", fields: [][2]string{{"Cookie", filled("session=aaa; ", 6500)}}},
		{name: "500 lines of cookies", fields: slices.Repeat([][2]string{{"Cookie", "a=b"}}, 500)},
		{name: "seven cookies that hold a token of 8 KiB", fields: [][2]string{{"Cookie", filled("session="+unsigned(plainHeader, claiming(`,"a":"`+filled("a", payloadRoom)+`"`))[len("Bearer "):]+"; ", shapeRoom)}}},
		{name: "64 KiB of a cookie's spaces", fields: [][2]string{{"Cookie", "a" + filled(" ", shapeRoom) + "=a"}}},
		{name: "64 KiB of semicolons", fields: [][2]string{{"Cookie", filled(";", shapeRoom)}}},
		{
			name: "1,000 parameters, 1,000 fields, 500 cookies", method: http.MethodPost, query: "?" + filled("a&", 2000),
			fields: [][2]string{form, {"Cookie", filled("a=b; ", 2500)}}, body: filled("a&", 2000),
		},
		{
			name: "the same, with percents and spaces", method: http.MethodPost, query: "?" + filled("%61ccess%5Ftoken=&", 17000),
			fields: [][2]string{form, {"Cookie", filled(" session =; ", 6000)}}, body: filled("%61ccess%5Ftoken=&", 17000),
		},
	}
}

// names are fields with a name each, up to a number of bytes of them.
func names(format string, size int) [][2]string {
	var all [][2]string
	for i := 0; size > 0; i++ {
		name := fmt.Sprintf(format, i)
		all = append(all, [2]string{name, ""})
		size -= len(name) + len(": \r\n")
	}
	return all
}

// spellings are those of a claim header that differ in what stands for a hyphen.
func spellings() [][2]string {
	const marks = "-!#$%&'*+.^_`|~"
	var all [][2]string
	for _, a := range marks {
		for _, b := range marks {
			all = append(all, [2]string{"X" + string(a) + "User" + string(b) + "Id", "admin"})
		}
	}
	return all
}

// costlyHeaders are many headers, or large ones, and trailers.
func costlyHeaders() []shape {
	preflight := [][2]string{{"Origin", "http://a.example"}, {"Access-Control-Request-Method", "GET"}}
	return []shape{
		{name: "64 KiB of names as long as a claim header's", fields: names("X-Us%05x", shapeRoom)},
		{name: "the same, and a token", fields: append(names("X-Us%05x", shapeRoom), authorization(unsigned(plainHeader, claiming("")))...)},
		{name: "64 KiB of names with underscores", fields: names("X_user_%04x", shapeRoom)},
		{name: "64 KiB of names of five letters", fields: names("A%04x", shapeRoom)},
		{name: "64 KiB of long names", fields: names("X-%060x", shapeRoom)},
		{name: "225 spellings of a claim header", fields: spellings()},
		{name: "4,000 values of a header", fields: slices.Repeat([][2]string{{"X-Another", ""}}, 4000)},
		{name: "4,000 values of a claim header", fields: slices.Repeat([][2]string{{"X_user_id", ""}}, 4000)},
		{name: "100 connection options", fields: [][2]string{{"Connection", filled("a,", 200)}}},
		{name: "100 connection options of 600 letters", fields: [][2]string{{"Connection", filled(filled("a_", 598)+",", shapeRoom)}}},
		{name: "64 KiB of connection options", fields: [][2]string{{"Connection", filled("a,", shapeRoom)}}},
		{name: "1,000 lines of Connection", fields: slices.Repeat([][2]string{{"Connection", "a"}}, 1000)},
		{name: "a preflight of 64 KiB of names", method: http.MethodOptions, passes: true, fields: append(preflight, names("X-Us%05x", shapeRoom)...)},
		{name: "a preflight of 1,000 parameters", method: http.MethodOptions, passes: true, query: "?" + filled("a&", 2000), fields: preflight},
		{
			name: "hundreds of trailers behind a form", method: http.MethodPost, body: chunked + "a\r\n0\r\n" + trailers(3900) + "\r\n",
			fields: [][2]string{{"Content-Type", "application/x-www-form-urlencoded"}},
		},
		{name: "hundreds of trailers, announced", method: http.MethodPost, body: chunked + "a\r\n0\r\n\r\n", fields: [][2]string{{"Trailer", numbered("X-User-%s,", shapeRoom)}}},
	}
}

// trailers are names as long as a claim header's; net/http takes no more than 4 KiB of them.
func trailers(size int) string {
	var text strings.Builder
	for _, field := range names("X-Us%05x", size) {
		text.WriteString(field[0] + ": \r\n")
	}
	return text.String()
}

// costlyRepeats are what HTTP/2 makes cheap to send: each request after the first is a few bytes on the wire, or each field is.
func costlyRepeats() []shape {
	repeat := func(name, value string, n int) [][2]string { return slices.Repeat([][2]string{{name, value}}, n) }
	var namesAgain [][2]string
	for i := range 60 {
		namesAgain = append(namesAgain, repeat(fmt.Sprintf("X-Us%05x", i), "", 200)...)
	}
	all := []shape{
		{name: "aud of 900 empty strings", fields: authorization(unsigned(plainHeader, claiming(`,"aud":[`+filled(`"",`, 2750)+`]`)))},
		{name: "JOSE header with tab and 240 nested objects", tokens: headed("{\t" + `"alg":"HS256","kid":"%s","a":` + nested(`{"":`, `}`, 240) + `}`)},
		{name: "1,000 parameters", query: "?" + filled("a&", 2000)},
		{name: "970 parameters with percents", query: "?" + filled("%61&", repeatedRoom)},
		{name: "1,000 parameters and 500 cookies", query: "?" + filled("a&", 2000), fields: [][2]string{{"Cookie", filled("a;", 1000)}}},
		{name: "a cookie 500 times", fields: repeat("Cookie", "a=b", 500)},
		{name: "a cookie 1,000 times", fields: repeat("Cookie", "a=b", 1000)},
		{name: "an empty cookie of the token's name 500 times", fields: repeat("Cookie", "session=", 500)},
		{name: "a cookie of 3,900 bytes 250 times", fields: repeat("Cookie", "a="+filled("b", repeatedRoom), 250)},
		{name: "a line of 40 bytes 1,000 times", fields: repeat("X-Another", filled("a", 30), 1000)},
		{name: "a line of 3,900 bytes 250 times", fields: repeat("X-Another", filled("a", repeatedRoom), 250)},
		{name: "a claim header of 3,900 bytes 250 times", fields: repeat("X_user_id", filled("a", repeatedRoom), 250)},
		{name: "Authorization of 3,900 bytes 250 times", fields: repeat("Authorization", "Bearer "+filled("a.", repeatedRoom), 250)},
		{name: "60 names as long as a claim header's, 200 times each", fields: namesAgain},
	}
	for i := range all {
		all[i].http2, all[i].name = true, "HPACK: "+all[i].name
	}
	return append(all, shape{
		name: "a form of 6,000 bytes, each in a frame", method: http.MethodPost, body: filled("a", 6000), http2: true,
		fields: [][2]string{{"Content-Type", "application/x-www-form-urlencoded"}},
	})
}
