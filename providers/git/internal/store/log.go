package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/moorage/moorage/providers/git/internal/object"
)

// The log is a folder of segments. A process appends to a segment of its own,
// made at its first write; at start all are read, oldest first. A segment is
// logMagic and records: kind (1 byte), length of the id (1), the id, length of
// the content (4, big endian), CRC-32C of all that and the content (4), the
// content. The kind is an object type of git, or one of those below.
const (
	logMagic     = "moorage git log 1\n"
	kindBlobSize = 's' // content: size of a blob (8 bytes, big endian)
	kindLFSSize  = 'l' // content: size of a file of Git LFS
	maxRecord    = 64 << 20
	maxSegments  = 16 // more are merged into one
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errRecord = errors.New("damaged record")

type record struct {
	kind    byte
	id      object.ID
	content []byte // of an object
	size    int64  // of a size
}

// location is where a record is.
type location struct {
	segment *os.File
	off     int64
	n       uint32 // length of the whole record
}

type recordLog struct {
	dir string

	mu       sync.Mutex // held during writes
	segments []*os.File // all that are open, own included
	own      *os.File   // nil before the first write
	end      int64
	buf      []byte
	closed   bool
}

func (l *recordLog) open(dir string, load func(record, location)) error {
	l.dir = dir
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	if len(names) > maxSegments {
		if names, err = mergeSegments(dir, names); err != nil {
			return err
		}
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		l.segments = append(l.segments, f)
		if err := readSegment(f, load); err != nil {
			return err
		}
	}
	return nil
}

// mergeSegments writes the records of all segments into one, once each. If the
// process dies here, records are there twice, which does no harm.
func mergeSegments(dir string, names []string) (merged []string, err error) {
	out, err := os.CreateTemp(dir, "merging-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			out.Close()
			os.Remove(out.Name())
		}
	}()
	w := bufio.NewWriterSize(out, 256<<10)
	if _, err := w.WriteString(logMagic); err != nil {
		return nil, err
	}
	type key struct {
		kind byte
		id   object.ID
	}
	seen := make(map[key]bool)
	var buf []byte
	// Newest first: a size that was corrected later wins.
	for _, name := range slices.Backward(names) {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		var werr error
		latest := make(map[key]record)
		var order []key
		err = readSegment(f, func(r record, _ location) {
			k := key{r.kind, r.id}
			if seen[k] {
				return
			}
			if _, again := latest[k]; !again {
				order = append(order, k)
			}
			if r.content != nil {
				seen[k] = true
				buf = appendRecord(buf[:0], r)
				if _, err := w.Write(buf); err != nil {
					werr = err
				}
				r = record{}
			}
			latest[k] = r
		})
		f.Close()
		if err = errors.Join(err, werr); err != nil {
			return nil, err
		}
		for _, k := range order {
			if r := latest[k]; r.kind != 0 {
				seen[k] = true
				buf = appendRecord(buf[:0], r)
				if _, err := w.Write(buf); err != nil {
					return nil, err
				}
			}
		}
	}
	if err := errors.Join(w.Flush(), out.Sync(), out.Close()); err != nil {
		return nil, err
	}
	// The name of the newest, so that what comes later sorts after it.
	target := names[len(names)-1]
	if err := os.Rename(out.Name(), target); err != nil {
		return nil, err
	}
	for _, name := range names[:len(names)-1] {
		os.Remove(name)
	}
	return []string{target}, nil
}

// readSegment gives the records of f up to the first that is not whole. Only
// trouble with the disk is an error.
func readSegment(f *os.File, load func(record, location)) error {
	r := bufio.NewReaderSize(f, 256<<10)
	magic := make([]byte, len(logMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != logMagic {
		return ignoreEnd(err)
	}
	off := int64(len(logMagic))
	for {
		rec, n, err := readRecord(r)
		if err != nil {
			return ignoreEnd(err)
		}
		load(rec, location{f, off, uint32(n)})
		off += int64(n)
	}
}

func ignoreEnd(err error) error {
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF || errors.Is(err, errRecord) {
		return nil
	}
	return err
}

// readRecord reads one record and its length.
func readRecord(r io.Reader) (record, int, error) {
	var head [2 + 32 + 8]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return record{}, 0, err
	}
	idLen := int(head[1])
	if idLen != 20 && idLen != 32 {
		return record{}, 0, errRecord
	}
	if _, err := io.ReadFull(r, head[2:2+idLen+8]); err != nil {
		return record{}, 0, err
	}
	id, err := object.IDFromBytes(head[2 : 2+idLen])
	if err != nil {
		return record{}, 0, errRecord
	}
	rec := record{kind: head[0], id: id}
	size := binary.BigEndian.Uint32(head[2+idLen:])
	want := binary.BigEndian.Uint32(head[2+idLen+4:])
	if size > maxRecord {
		return record{}, 0, errRecord
	}
	// Grown as bytes come: the length may be damaged.
	content := make([]byte, 0, min(size, 1<<20))
	for len(content) < int(size) {
		step := min(int(size)-len(content), 1<<20)
		content = slices.Grow(content, step)
		n, err := io.ReadFull(r, content[len(content):len(content)+step])
		if content = content[:len(content)+n]; err != nil {
			return record{}, 0, err
		}
	}
	crc := crc32.Update(crc32.Checksum(head[:2+idLen+4], castagnoli), castagnoli, content)
	if crc != want {
		return record{}, 0, errRecord
	}
	switch rec.kind {
	case byte(object.TypeCommit), byte(object.TypeTree), byte(object.TypeTag):
		rec.content = content
	case kindBlobSize, kindLFSSize:
		if size != 8 {
			return record{}, 0, errRecord
		}
		if rec.size = int64(binary.BigEndian.Uint64(content)); rec.size < 0 {
			return record{}, 0, errRecord
		}
	default:
		return record{}, 0, errRecord
	}
	return rec, 2 + idLen + 8 + int(size), nil
}

func appendRecord(b []byte, r record) []byte {
	start := len(b)
	id := r.id.Bytes()
	b = append(b, r.kind, byte(len(id)))
	b = append(b, id...)
	content := r.content
	if r.kind == kindBlobSize || r.kind == kindLFSSize {
		content = binary.BigEndian.AppendUint64(nil, uint64(r.size))
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(content)))
	crc := crc32.Update(crc32.Checksum(b[start:], castagnoli), castagnoli, content)
	b = binary.BigEndian.AppendUint32(b, crc)
	return append(b, content...)
}

func (l *recordLog) append(r record) (location, error) {
	if len(r.content) > maxRecord {
		return location{}, fmt.Errorf("a %v of %d bytes", object.Type(r.kind), len(r.content))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return location{}, os.ErrClosed
	}
	if l.own == nil {
		// Names sort by age; O_EXCL in CreateTemp keeps two processes apart.
		f, err := os.CreateTemp(l.dir, fmt.Sprintf("%08d-*.log", l.next()))
		if err != nil {
			return location{}, err
		}
		l.own, l.end = f, 0
		l.segments = append(l.segments, f)
		l.buf = append(l.buf[:0], logMagic...)
	} else {
		l.buf = l.buf[:0]
	}
	start := len(l.buf)
	l.buf = appendRecord(l.buf, r)
	// A write that failed half-way is overwritten by the next.
	if _, err := l.own.WriteAt(l.buf, l.end); err != nil {
		return location{}, err
	}
	at := location{l.own, l.end + int64(start), uint32(len(l.buf) - start)}
	l.end += int64(len(l.buf))
	if cap(l.buf) > 1<<20 {
		l.buf = nil
	}
	return at, nil
}

// next is the number of a new segment: one above all that are there.
func (l *recordLog) next() int {
	n := 0
	for _, f := range l.segments {
		var have int
		name, _, _ := strings.Cut(filepath.Base(f.Name()), "-")
		if _, err := fmt.Sscanf(name, "%d", &have); err == nil {
			n = max(n, have)
		}
	}
	return n + 1
}

func (l *recordLog) read(at location) (record, error) {
	rec, _, err := readRecord(io.NewSectionReader(at.segment, at.off, int64(at.n)))
	return rec, err
}

func (l *recordLog) sync() error {
	l.mu.Lock()
	f := l.own
	l.mu.Unlock()
	if f == nil {
		return nil
	}
	return f.Sync()
}

func (l *recordLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	var first error
	for _, f := range l.segments {
		if err := f.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
