// Package keysource knows where keys come from and when they are read again: the operator's options and files (Own), and other
// issuers' endpoints (Endpoint). What a key is, and whether it verifies, is up to package jose; which tokens are checked with which
// source is up to the middleware.
package keysource

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/logline"
)

// IsPath tells an option's path from its content, by its start alone: "/", "./", "../" or a drive letter.
func IsPath(value string) bool {
	if strings.HasPrefix(value, "/") || strings.HasPrefix(value, "./") || strings.HasPrefix(value, "../") {
		return true
	}
	if len(value) < 3 || value[1] != ':' || value[2] != '\\' && value[2] != '/' {
		return false
	}
	drive := value[0] | 0x20 // in lower case
	return 'a' <= drive && drive <= 'z'
}

// FileOrContent returns an option's content, read from its file if it is a path.
func FileOrContent(value string) (string, error) {
	if !IsPath(value) {
		return value, nil
	}
	text, _, err := (&file{path: value}).read(time.Now())
	if err != nil {
		return "", fmt.Errorf("the file %s cannot be used: %w", logline.Quote(value), err)
	}
	return text, nil
}

// file is a file that is read again when it has changed.
type file struct {
	path string
	// Its state when it was last read.
	info os.FileInfo
	text string
	// isSettled says that it was last written well before it was read. Otherwise it may have been written again within the
	// resolution of its time, and equal times do not mean an equal text.
	isSettled bool
}

const (
	maxFileBytes = 1 << 20
	settlesIn    = 2 * time.Second
)

// read returns a file's text and whether it differs from the last one. It asks for the file's state before it reads, so that a
// file which changes in between is seen to have changed the next time.
func (f *file) read(now time.Time) (text string, changed bool, err error) {
	info, err := os.Stat(f.path)
	if err != nil {
		f.info = nil
		return "", false, errors.New("it is missing or unreadable")
	}
	if f.info != nil && f.isSettled && os.SameFile(info, f.info) && info.Size() == f.info.Size() && info.ModTime().Equal(f.info.ModTime()) {
		return f.text, false, nil
	}
	if !info.Mode().IsRegular() || info.Size() > maxFileBytes {
		return "", false, fmt.Errorf("it is not a regular file of at most %d bytes", maxFileBytes)
	}
	data, err := os.ReadFile(f.path)
	if err != nil {
		return "", false, errors.New("it is missing or unreadable")
	}
	changed = f.info == nil || string(data) != f.text
	f.info = info
	f.text = string(data)
	f.isSettled = now.Sub(info.ModTime()) > settlesIn
	return f.text, changed, nil
}
