// Package file reads what the operator's options name: files, and contents that are given in their place. It knows nothing of what
// is in them.
package file

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

// Content returns an option's content, read from its file if it is a path.
func Content(value string) (string, error) {
	if !IsPath(value) {
		return value, nil
	}
	text, _, err := (&File{Path: value}).Read(time.Now())
	if err != nil {
		return "", fmt.Errorf("the file %s cannot be used: %w", logline.Quote(value), err)
	}
	return text, nil
}

// File is a file that is read again when it has changed.
type File struct {
	// Path is where it is.
	Path string
	// MaxBytes is how long it may be; 0: 1 MiB.
	MaxBytes int64
	// IsSettled says that it was last written well before it was read. Otherwise it may have been written again within the
	// resolution of its time, and equal times do not mean an equal text.
	IsSettled bool

	// Its state when it was last read.
	info os.FileInfo
	text string
}

const (
	defaultMaxBytes = 1 << 20
	settlesIn       = 2 * time.Second
)

// Read returns a file's text and whether it differs from the last one. It asks for the file's state before it reads, so that a
// file which changes in between is seen to have changed the next time.
func (f *File) Read(now time.Time) (text string, changed bool, err error) {
	info, err := os.Stat(f.Path)
	if err != nil {
		f.info = nil
		return "", false, errors.New("it is missing or unreadable")
	}
	if f.info != nil && f.IsSettled && os.SameFile(info, f.info) && info.Size() == f.info.Size() && info.ModTime().Equal(f.info.ModTime()) {
		return f.text, false, nil
	}
	maxBytes := f.MaxBytes
	if maxBytes == 0 {
		maxBytes = defaultMaxBytes
	}
	if !info.Mode().IsRegular() || info.Size() > maxBytes {
		return "", false, fmt.Errorf("it is not a regular file of at most %d bytes", maxBytes)
	}
	data, err := os.ReadFile(f.Path)
	if err != nil {
		return "", false, errors.New("it is missing or unreadable")
	}
	changed = f.info == nil || string(data) != f.text
	f.info = info
	f.text = string(data)
	f.IsSettled = now.Sub(info.ModTime()) > settlesIn
	return f.text, changed, nil
}
