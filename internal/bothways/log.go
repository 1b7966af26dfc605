package bothways

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
)

var (
	nativeLog = &buffer{}
	// isCollected says that Main collects what the compiled plugin prints.
	isCollected bool
)

// Main runs a package's tests from its TestMain. It collects what the compiled plugin logs and prints, as the interpreter
// does for the interpreted one; what the tests print goes on to the standard output.
func Main(m *testing.M) {
	reader, writer, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	stdout := os.Stdout
	os.Stdout = writer
	log.SetOutput(nativeLog)
	isCollected = true
	done := make(chan struct{})
	go func() {
		defer close(done)
		collect(reader, stdout)
	}()
	code := m.Run()
	_ = writer.Close()
	<-done
	os.Exit(code)
}

// mark stands in the log at the ends of what a test asks for.
const mark = "(the log up to "

// collect reads what is printed: the plugin's lines, the marks between them, and the testing package's lines, which alone go
// on to the standard output.
func collect(printed io.Reader, stdout io.Writer) {
	lines := bufio.NewReader(printed)
	for {
		line, err := lines.ReadString('\n')
		_, _ = io.WriteString(nativeLog, line)
		if !strings.HasPrefix(line, "slidingjwt: ") && !strings.HasPrefix(line, mark) {
			_, _ = io.WriteString(stdout, line)
		}
		if err != nil {
			return
		}
	}
}

// Logged returns the plugin's lines that are logged while do runs, without the time and what marks them as the plugin's.
func (e Engine) Logged(t testing.TB, do func()) []string {
	t.Helper()
	start := e.logged(t)
	do()
	end := e.logged(t)
	var lines []string
	for _, line := range strings.Split(e.log.String()[start:end], "\n") {
		if _, text, isThePlugins := strings.Cut(line, "slidingjwt: "); isThePlugins {
			lines = append(lines, text)
		}
	}
	return lines
}

// logged returns the length of the log once all that was written is in it.
func (e Engine) logged(t testing.TB) int {
	t.Helper()
	if e.log == nil {
		t.Fatal("the log goes elsewhere: see LoggingTo")
	}
	length := len(e.log.String())
	if e.Name != Native.Name {
		return length
	}
	if !isCollected {
		t.Fatal("nothing is collected: TestMain must call bothways.Main")
	}
	// What the compiled plugin prints goes through a pipe: what is written last comes out last.
	last := fmt.Sprintf("%s%d)\n", mark, length)
	_, _ = io.WriteString(os.Stdout, last)
	for !strings.Contains(e.log.String()[length:], last) {
		runtime.Gosched()
	}
	return len(e.log.String())
}

// LoggingTo returns the same engine with a log of its own, until the test has ended: natively the log package's output,
// and another interpreter's.
func (e Engine) LoggingTo(t testing.TB, output io.Writer) Engine {
	t.Helper()
	if e.Name == Native.Name {
		former := log.Writer()
		log.SetOutput(output)
		t.Cleanup(func() { log.SetOutput(former) })
		return Engine{Name: e.Name, create: e.create}
	}
	create, err := interpret(output)
	if err != nil {
		t.Fatal(err)
	}
	return Engine{Name: e.Name, create: create}
}

// buffer is a log that several goroutines write.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
