package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/moorage/moorage/daemon/internal/transfer"
)

// Settings are those of the service, the [settings] of the file. A zero field is the
// default.
type Settings struct {
	CacheDir      string `toml:"cache_dir"`      // a folder
	CacheLimit    int64  `toml:"cache_limit"`    // bytes, of each drive
	UploadLimit   int64  `toml:"upload_limit"`   // bytes a second, of all drives together
	DownloadLimit int64  `toml:"download_limit"` // likewise
	Proxy         string `toml:"proxy"`          // see package transfer
	MountDir      string `toml:"mount_dir"`      // the folder of drives that were given none
}

// MinCache is the least that a cache may have: with less, large files could not be
// read in pieces.
const MinCache = 64 << 20

// InvalidError says which setting cannot be, and why.
type InvalidError struct {
	Key string // of the file
	Why string
}

func (e *InvalidError) Error() string { return e.Key + ": " + e.Why }

// Check reports the first setting that cannot be, as an *InvalidError.
func (s Settings) Check() error {
	bad := func(key, why string, args ...any) error { return &InvalidError{key, fmt.Sprintf(why, args...)} }
	for _, d := range []struct{ key, dir string }{{"cache_dir", s.CacheDir}, {"mount_dir", s.MountDir}} {
		if d.dir != "" && !filepath.IsAbs(d.dir) && !strings.HasPrefix(d.dir, "~") {
			return bad(d.key, "%q is not the whole path of a folder", d.dir)
		}
		if strings.ContainsFunc(d.dir, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return bad(d.key, "there is a control character in the path")
		}
	}
	if s.CacheLimit != 0 && s.CacheLimit < MinCache {
		return bad("cache_limit", "%d is less than %d bytes, which a drive needs", s.CacheLimit, MinCache)
	}
	for _, l := range []struct {
		key   string
		limit int64
	}{{"upload_limit", s.UploadLimit}, {"download_limit", s.DownloadLimit}} {
		if l.limit != 0 && l.limit < transfer.MinLimit {
			return bad(l.key, "%d is less than %d bytes a second; 0 is no limit", l.limit, transfer.MinLimit)
		}
	}
	if err := transfer.CheckProxy(s.Proxy); err != nil {
		return bad("proxy", "%v", err)
	}
	return nil
}

// values are the keys of the table, in the order in which they are written.
func (s Settings) values(was Settings) []value {
	return []value{
		{"cache_dir", was.CacheDir, s.CacheDir, s.CacheDir != ""},
		{"cache_limit", was.CacheLimit, s.CacheLimit, s.CacheLimit != 0},
		{"upload_limit", was.UploadLimit, s.UploadLimit, s.UploadLimit != 0},
		{"download_limit", was.DownloadLimit, s.DownloadLimit, s.DownloadLimit != 0},
		{"proxy", was.Proxy, s.Proxy, s.Proxy != ""},
		{"mount_dir", was.MountDir, s.MountDir, s.MountDir != ""},
	}
}

// Settings reads the settings. A missing file has none. The error is an *Error if
// the file is malformed.
func (f *File) Settings() (Settings, error) {
	text, err := f.read()
	if err != nil {
		return Settings{}, err
	}
	doc, err := parse(f.path, text)
	return doc.Settings, err
}

// SetSettings stores what edit makes of the settings, and returns it. An
// *InvalidError says that it cannot be, and nothing was stored.
func (f *File) SetSettings(edit func(*Settings)) (Settings, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, err := f.read()
	if err != nil {
		return Settings{}, err
	}
	doc, err := parse(f.path, text)
	if err != nil {
		return Settings{}, err
	}
	was := doc.Settings
	edit(&doc.Settings)
	if err := doc.Settings.Check(); err != nil || doc.Settings == was {
		return doc.Settings, err
	}
	out, err := editSettings(text, was, doc.Settings)
	if err != nil {
		return Settings{}, err
	}
	return doc.Settings, f.replace(out, doc)
}

// invalid is err, of Check, with the place in text.
func invalid(e *Error, text []byte, err error) *Error {
	e.Text = err.Error()
	var ie *InvalidError
	if b, ok := settingsBlock(text); ok && errors.As(err, &ie) {
		if i := findKey(strings.SplitAfter(string(text[b.start:b.end]), "\n"), ie.Key); i > 0 {
			e.Line, e.Column = lineOf(text, b.start)+i, 1
		}
	}
	return e
}
