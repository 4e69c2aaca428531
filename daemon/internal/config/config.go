// Package config reads and edits the file in which people keep their drives and the
// settings of the service. It changes only the lines it must: comments, unknown keys and the order of things stay.
package config

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/pelletier/go-toml/v2"

	"github.com/moorage/moorage/daemon/internal/diskfile"
)

// Version is the format that this package writes.
const Version = 1

const maxFile = 1 << 20

// Drive is one [[drive]] of the file.
type Drive struct {
	ID       string `toml:"id"` // 16 hexadecimal digits; ties the drive to its state and its secret
	Name     string `toml:"name"`
	URL      string `toml:"url"`
	Dir      string `toml:"dir"` // "": the default place
	ReadOnly bool   `toml:"read_only"`
	Auto     bool   `toml:"auto"` // mounted when the service starts
}

// Error says what is wrong with the file, and where.
type Error struct {
	Path         string
	Line, Column int // from 1; 0: not known
	Text         string
}

// Error names the place.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Path, e.Text)
	}
	return fmt.Sprintf("%s, line %d, column %d: %s", e.Path, e.Line, e.Column, e.Text)
}

// ErrForm means that the file is correct but written in a way that this
// package cannot edit, such as drive = [{…}].
var ErrForm = errors.New("the config file does not use [[drive]] tables")

// File is the config file. Its methods may be called concurrently.
type File struct {
	path string
	mu   sync.Mutex // one change at a time
}

// New returns the file at path, which need not exist. It does no I/O.
func New(path string) *File { return &File{path: path} }

// Path is where the file is.
func (f *File) Path() string { return f.path }

// Load reads the drives. A missing file has none. Drives that were written by
// hand without an id (or copied with one) get an id, which is stored. warnings are sentences
// about what was skipped. The error is an *Error if the file is malformed.
func (f *File) Load() (drives []Drive, warnings []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, err := f.read()
	if err != nil {
		return nil, nil, err
	}
	doc, err := parse(f.path, text)
	if err != nil {
		return nil, nil, err
	}
	warnings, drives = unknown(f.path, text), doc.Drive
	if added, err := addIDs(drives); err != nil {
		return nil, nil, err
	} else if added {
		if err := f.write(text, doc); err != nil {
			warnings = append(warnings, fmt.Sprintf("The ids of new drives could not be stored in the config file: %v.", err))
		}
	}
	return drives, warnings, nil
}

// Read returns the drives as they stand in the file, some perhaps without id.
// It never changes the file.
func (f *File) Read() ([]Drive, error) {
	text, err := f.read()
	if err != nil {
		return nil, err
	}
	doc, err := parse(f.path, text)
	return doc.Drive, err
}

var validID = regexp.MustCompile(`^[0-9a-f]{16}$`)

// addIDs gives ids to drives that have none of their own.
func addIDs(drives []Drive) (added bool, err error) {
	seen := make(map[string]bool)
	for i := range drives {
		if d := &drives[i]; seen[d.ID] || !validID.MatchString(d.ID) {
			var b [8]byte
			if _, err := rand.Read(b[:]); err != nil {
				return false, fmt.Errorf("make a drive's id: %w", err)
			}
			d.ID, added = hex.EncodeToString(b[:]), true
		}
		seen[drives[i].ID] = true
	}
	return added, nil
}

// Put stores d in the place of the drive with its id, or as a new one.
func (f *File) Put(d Drive) error {
	return f.change(func(l []Drive) []Drive {
		if i := slices.IndexFunc(l, func(o Drive) bool { return o.ID == d.ID }); i >= 0 {
			l[i] = d
			return l
		}
		return append(l, d)
	})
}

// Remove takes the drive with that id out of the file, if it is there.
func (f *File) Remove(id string) error {
	return f.change(func(l []Drive) []Drive {
		return slices.DeleteFunc(l, func(d Drive) bool { return d.ID == id })
	})
}

func (f *File) change(edit func([]Drive) []Drive) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, err := f.read()
	if err != nil {
		return err
	}
	doc, err := parse(f.path, text)
	if err != nil {
		return err // a file that a person must mend first is left as it is
	}
	old := doc.Drive
	doc.Drive = edit(slices.Clone(old))
	if slices.Equal(doc.Drive, old) {
		return nil
	}
	return f.write(text, doc)
}

func (f *File) read() ([]byte, error) {
	b, err := diskfile.Read(f.path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the config file: %w", err)
	}
	return b, nil
}

// write edits text so that it holds the drives of doc, and replaces the file.
func (f *File) write(text []byte, doc document) error {
	out, err := edit(text, doc.Drive)
	if err != nil {
		return err
	}
	return f.replace(out, doc)
}

// replace replaces the file by out, after it has made sure that this says what doc does.
func (f *File) replace(out []byte, doc document) error {
	if back, err := parse(f.path, out); err != nil || !slices.Equal(back.Drive, doc.Drive) || back.Settings != doc.Settings {
		return ErrForm
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return fmt.Errorf("make the config folder: %w", err)
	}
	return diskfile.Write(f.path, out)
}

type document struct {
	Version  int      `toml:"version"`
	Settings Settings `toml:"settings"`
	Drive    []Drive  `toml:"drive"`
}

func parse(path string, text []byte) (document, error) {
	doc := document{Version: Version}
	if err := toml.Unmarshal(text, &doc); err != nil {
		e := &Error{Path: path, Text: err.Error()}
		var de *toml.DecodeError
		if errors.As(err, &de) {
			e.Line, e.Column = de.Position()
			e.Text = strings.TrimPrefix(de.Error(), "toml: ")
		}
		return document{}, e
	}
	if doc.Version < 1 || doc.Version > Version {
		return document{}, &Error{Path: path, Text: fmt.Sprintf("it is of version %d, which this version of Moorage does not know", doc.Version)}
	}
	if err := doc.Settings.Check(); err != nil {
		return document{}, invalid(&Error{Path: path}, text, err)
	}
	blocks := split(text)
	seen := make(map[string]bool)
	for i, d := range doc.Drive {
		e := &Error{Path: path}
		if i < len(blocks) && len(blocks) == len(doc.Drive) {
			e.Line, e.Column = lineOf(text, blocks[i].start), 1
		}
		switch {
		case d.URL == "":
			e.Text = "this drive has no url"
		case d.Name == "":
			e.Text = "this drive has no name"
		case seen[d.Name]:
			e.Text = fmt.Sprintf("there are two drives named %q", d.Name)
		default:
			seen[d.Name] = true
			continue
		}
		return document{}, e
	}
	return doc, nil
}

// lineOf is the number of the line that begins at pos, from 1.
func lineOf(text []byte, pos int) int { return 1 + bytes.Count(text[:pos], []byte("\n")) }

// unknown names the keys that this version does not know.
func unknown(path string, text []byte) (warnings []string) {
	dec := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	var missing *toml.StrictMissingError
	if err := dec.Decode(&document{}); errors.As(err, &missing) {
		for _, e := range missing.Errors {
			row, col := e.Position()
			warnings = append(warnings, fmt.Sprintf("%s, line %d, column %d: the key %s is not known and has no effect.",
				path, row, col, strings.Join(e.Key(), ".")))
		}
	}
	return warnings
}
