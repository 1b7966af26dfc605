package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/demo/internal/browser"
	"github.com/slidingjwt/slidingjwt/demo/internal/system"
)

// What the page shows, as JavaScript expressions.
const (
	isIn      = `document.getElementById("who").classList.contains("in")`
	isOut     = `!` + isIn
	renewals  = `document.querySelectorAll("#log .renewed").length`
	isCookie  = `document.querySelector("input[value=cookie]").checked`
	tokenSeen = `!document.getElementById("token-parts").hidden`
)

// TestPage uses the demo's page in a real Chromium. A token is good for 20 seconds, so that a slow machine loses none, and is renewed from its second one on.
func TestPage(t *testing.T) {
	b := startBrowser(t)
	s := start(t, system.Settings{Lifetime: "20s", Before: "19s", MaxSession: "5m", Leeway: "0s"})

	t.Run("the password", func(t *testing.T) {
		p := open(t, b, s.URL())
		p.do(p.Click("log-in"))
		p.until(isIn)
		p.until(says("who", "Ada Lovelace"))
		p.until(says("token-claims", `"sub": "ada"`))
		p.until(says("headers", "analyst,engineer"))
		p.until(says("gateway", "one"))
		p.end()
	})

	t.Run("the provider", func(t *testing.T) {
		p := open(t, b, s.URL())
		p.do(p.Click("log-in-provider"))
		p.until(`document.title === "provider.example"`)
		p.do(p.ClickOn("button"))
		p.until(isIn)
		p.until(says("who", "Grace Hopper"))
		p.until(says("token-claims", `"idp": "https://provider.example"`))
		p.until(says("headers", "admiral,engineer"))
		p.until(`location.search === ""`) // The code is not left in the address.
		p.end()
	})

	t.Run("two renewals", func(t *testing.T) {
		p := open(t, b, s.URL())
		p.do(p.Click("log-in"))
		p.until(isIn)
		var first, last string
		p.do(p.Evaluate(`document.getElementById("token-claims").textContent`, &first))
		p.do(p.Click("call-often"))
		p.until(renewals + ` >= 2`)
		p.until(`document.getElementById("token-bar").value > 0.5 && document.getElementById("session-bar").value > 0.5`)
		p.do(p.Evaluate(`document.getElementById("token-claims").textContent`, &last))
		if first == last {
			t.Error("the page still shows the first token's claims")
		}
		p.end()
	})

	t.Run("the cookie", func(t *testing.T) {
		p := open(t, b, s.URL())
		p.do(p.ClickOn("input[value=cookie]"))
		p.do(p.Click("log-in"))
		p.until(isIn)
		p.until(says("who", "Ada Lovelace"))
		p.do(p.Click("call-often"))
		p.until(renewals + ` >= 2`)
		var kept string
		p.do(p.Evaluate(`document.cookie + Object.values(sessionStorage).join()`, &kept))
		if strings.Contains(kept, "eyJ") {
			t.Errorf("a script can read the token: %s", kept)
		}
		p.until(`!(` + tokenSeen + `)`)
		p.do(p.Evaluate(`location.reload()`, nil))
		p.until(isCookie + ` && ` + isIn) // The session outlives a reload.
		p.until(says("who", "Ada Lovelace"))
		p.end()
	})

	t.Run("two tabs", func(t *testing.T) {
		p := open(t, b, s.URL())
		p.do(p.Click("log-in"))
		p.until(isIn)
		other := open(t, b, s.URL())
		other.until(isIn) // It has asked the first one.
		other.until(says("who", "Ada Lovelace"))
		p.do(p.Click("call-often"))
		other.until(renewals + ` >= 1`) // It has done nothing for it.
		p.end()
		other.until(isOut)
		other.clean()
	})

	for _, test := range []struct{ button, status, code string }{
		{"forge", "401", "bad_signature"},
		{"expire", "401", "token_expired"},
	} {
		t.Run("refused: "+test.button, func(t *testing.T) {
			p := open(t, b, s.URL())
			p.do(p.Click("log-in"))
			p.until(isIn)
			p.do(p.Click(test.button))
			p.until(says("attack-said", test.status+", application/problem+json"))
			p.until(says("attack-answer", test.code))
			p.until(isIn) // The good session is none the worse for it.
			p.end()
		})
	}

	t.Run("a spoofed header", func(t *testing.T) {
		p := open(t, b, s.URL())
		p.do(p.Click("log-in"))
		p.until(isIn)
		p.do(p.Click("spoof"))
		p.until(says("attack-answer", `"ada"`) + ` && !` + says("attack-answer", "root"))
		p.end()
	})

	for _, mode := range []string{"bearer", "cookie"} {
		t.Run("locked out, "+mode, func(t *testing.T) {
			p := open(t, b, s.URL())
			p.do(p.ClickOn("input[value=" + mode + "]"))
			p.do(p.Click("log-in"))
			p.until(isIn)
			p.do(p.Click("call-often"))
			p.do(p.Click("lock"))
			p.until(isOut) // With the next renewal.
			p.until(says("log", "session has ended"))
			p.do(p.Click("log-in"))
			p.until(says("login-problem", "locked out"))
			p.do(p.Click("unlock"))
			p.until(says("log", "may log in again"))
			p.do(p.Click("log-in"))
			p.until(isIn)
			p.end()
		})
	}

	t.Run("logged out everywhere", func(t *testing.T) {
		p := open(t, b, s.URL())
		p.do(p.Click("log-in"))
		p.until(isIn)
		stolen := logIn(t, s.URL()) // Another session of the same user, elsewhere.
		p.do(p.Click("call-often"))
		p.do(p.Click("log-out-everywhere"))
		p.until(isOut)
		poll(t, func() bool {
			resp := call(t, s.URL(), stolen, nil)
			return resp.status == 401 && strings.Contains(resp.body, "token_revoked")
		})
		p.clean()
	})

	t.Run("a phone in the dark, by keyboard", func(t *testing.T) {
		p := open(t, b, s.URL())
		p.do(p.Show(360, 740, true, true))
		p.until(`document.documentElement.scrollWidth <= 360`)
		p.until(`matchMedia("(prefers-reduced-motion: reduce)").matches`)
		p.until(`getComputedStyle(document.body).backgroundColor === "rgb(17, 23, 29)"`)
		p.do(p.Evaluate(`document.getElementById("password").focus()`, nil))
		p.do(p.Press("\r"))
		p.until(isIn)
		p.until(`document.documentElement.scrollWidth <= 360`) // With a token and headers shown.
		var unnamed string
		p.do(p.Evaluate(`[...document.querySelectorAll("button, input, progress, pre")].filter((e) =>
			!(e.labels?.length || e.textContent.trim() || e.ariaLabel)).map((e) => e.id).join()`, &unnamed))
		if unnamed != "" {
			t.Errorf("these have no name for a screen reader: %s", unnamed)
		}
		p.end()
	})
}

// TestPageStream shows that the gateway cuts a WebSocket when its session is over.
func TestPageStream(t *testing.T) {
	b := startBrowser(t)
	s := start(t, system.Settings{Lifetime: "6s", Before: "5s", MaxSession: "8s", Leeway: "0s"})
	for _, mode := range []string{"bearer", "cookie"} {
		t.Run(mode, func(t *testing.T) {
			p := open(t, b, s.URL())
			p.do(p.ClickOn("input[value=" + mode + "]"))
			p.do(p.Click("log-in"))
			p.until(isIn)
			p.do(p.Click("connect"))
			p.until(says("stream-said", "for ada: 1 s"))
			p.until(says("log", "The WebSocket is closed"))
			p.until(isIn) // It is the gateway that has closed it: the page has not called since, and knows of no end.
			p.clean()
		})
	}
}

// pageTab is a tab whose failures are the test's.
type pageTab struct {
	*browser.Tab
	t *testing.T
}

func startBrowser(t *testing.T) *browser.Browser {
	t.Helper()
	b, err := browser.Start(t.Context())
	if errors.Is(err, browser.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b
}

func open(t *testing.T, b *browser.Browser, url string) pageTab {
	t.Helper()
	tab, err := b.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tab.Close)
	p := pageTab{tab, t}
	t.Cleanup(func() { // A test that fails leaves nobody locked out.
		if resp, err := http.Post(url+"/account/unlock?user=ada", "", nil); err == nil {
			_ = resp.Body.Close()
		}
	})
	p.until(`document.querySelector("#log-in")`)
	return p
}

func (p pageTab) do(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p pageTab) until(expression string) {
	p.t.Helper()
	if err := p.Until(expression); err != nil {
		var log string
		_ = p.Evaluate(`document.getElementById("log").innerText`, &log)
		p.t.Fatalf("%v\nthe page's log:\n%s\nand it said: %q", err, log, p.Said())
	}
}

// end logs out, and looks at what the page has said.
func (p pageTab) end() {
	p.t.Helper()
	p.do(p.Click("log-out"))
	p.until(isOut)
	p.clean()
}

// clean fails if the page has thrown something, been forbidden something, or said anything to the console.
func (p pageTab) clean() {
	p.t.Helper()
	if said := p.Said(); len(said) > 0 {
		p.t.Errorf("the page said %q, want nothing", said)
	}
}

// says is whether the element of that ID has the text.
func says(id, text string) string {
	return fmt.Sprintf("document.getElementById(%q).textContent.includes(%q)", id, text)
}
