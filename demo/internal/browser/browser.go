// Package browser drives a real Chromium on the demo's page, for the tests and for the screenshots.
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is for what has to happen, but nobody can say when on a busy machine.
const patience = 30 * time.Second

// ErrMissing says that there is neither Chrome nor Chromium on the PATH.
var ErrMissing = errors.New("no Chromium is installed")

// Browser is a running Chromium with a fresh profile.
type Browser struct {
	// Stop ends it, with all tabs.
	Stop func()

	ctx context.Context // chromedp hands a browser on in one
}

// Tab is one of its tabs.
type Tab struct {
	// Close closes the tab.
	Close func()

	ctx  context.Context
	mu   sync.Mutex
	said []string
}

// Start starts a Chromium that nobody sees.
func Start(ctx context.Context) (*Browser, error) {
	path := ""
	// Ubuntu lets Chrome use its sandbox, and not a Chromium that is no snap, such as that of GitHub's machines.
	for _, name := range []string{"google-chrome", "chromium", "chromium-browser"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, ErrMissing
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WSURLReadTimeout(patience))
	if os.Geteuid() == 0 { // Chromium's sandbox does not start for root.
		options = append(options, chromedp.NoSandbox)
	}
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	ctx, closeAll := chromedp.NewContext(ctx)
	b := &Browser{ctx: ctx, Stop: func() { closeAll(); stop() }}
	if err := chromedp.Run(ctx); err != nil {
		b.Stop()
		return nil, err
	}
	return b, nil
}

// Open opens a URL in a new tab. All tabs share cookies and messages.
func (b *Browser) Open(url string) (*Tab, error) {
	ctx, stop := chromedp.NewContext(b.ctx)
	t := &Tab{Close: stop, ctx: ctx}
	chromedp.ListenTarget(ctx, t.listen)
	if err := chromedp.Run(ctx); err != nil { // The first Run makes the tab, which must outlast this call.
		return nil, err
	}
	return t, t.run(chromedp.Navigate(url))
}

// listen notes what the page says to the console, what it throws, and what the policy forbids it.
func (t *Tab) listen(event any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		t.said = append(t.said, "exception: "+e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		for _, arg := range e.Args {
			t.said = append(t.said, "console: "+string(arg.Value))
		}
	case *log.EventEntryAdded:
		if e.Entry.Source != log.SourceNetwork { // A refusal is one, and expected.
			t.said = append(t.said, fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text))
		}
	}
}

// Said is what the page has said to the console, thrown, or been forbidden.
func (t *Tab) Said() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string{}, t.said...)
}

// Click clicks on the element of that ID.
func (t *Tab) Click(id string) error { return t.run(chromedp.Click("#"+id, chromedp.ByQuery)) }

// Press sends keys to whatever has the focus.
func (t *Tab) Press(keys string) error { return t.run(chromedp.KeyEvent(keys)) }

// ClickOn clicks on the first element that a CSS selector finds.
func (t *Tab) ClickOn(selector string) error {
	return t.run(chromedp.Click(selector, chromedp.ByQuery))
}

// Evaluate returns what a JavaScript expression is, into result.
func (t *Tab) Evaluate(expression string, result any) error {
	return t.run(chromedp.Evaluate(expression, result))
}

// Until waits until a JavaScript expression is true.
func (t *Tab) Until(expression string) error {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	for {
		var isTrue bool
		err := chromedp.Run(ctx, chromedp.Evaluate("Boolean("+expression+")", &isTrue))
		if err == nil && isTrue {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s: %w", expression, errors.Join(ctx.Err(), err))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Show sets the size of the window and what the user prefers: dark, and no motion.
func (t *Tab) Show(width, height int64, isDark, isCalm bool) error {
	scheme, motion := "light", "no-preference"
	if isDark {
		scheme = "dark"
	}
	if isCalm {
		motion = "reduce"
	}
	return t.run(
		chromedp.EmulateViewport(width, height),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion},
		}),
	)
}

// Screenshot is what the window shows, as a PNG.
func (t *Tab) Screenshot() ([]byte, error) {
	var image []byte
	err := t.run(chromedp.Evaluate(`scrollTo(0, 0)`, nil), chromedp.ActionFunc(func(ctx context.Context) error {
		var err error
		image, err = page.CaptureScreenshot().Do(ctx)
		return err
	}))
	return image, err
}

func (t *Tab) run(actions ...chromedp.Action) error {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, actions...)
}
