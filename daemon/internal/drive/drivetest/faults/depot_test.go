package faults

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"sync"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/providers"
)

// depot is what a remote has of files that come in parts and are not whole yet.
type depot struct {
	part int64

	mu      sync.Mutex
	next    uint64
	uploads map[uint64]*upload
}

type upload struct {
	path  string
	parts map[int64][]byte // by offset
	sent  map[int64]int    // how often
}

func newDepot(part int64) *depot { return &depot{part: part, uploads: map[uint64]*upload{}} }

// most is how often the part was sent that was sent most often.
func (d *depot) most() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range d.uploads {
		for _, s := range u.sent {
			n = max(n, s)
		}
	}
	return n
}

// parted is a session of a remote that takes large files in parts.
type parted struct {
	*rough.Session
	d *depot
}

var _ providers.Uploader = (*parted)(nil)

func (d *depot) connect(s *rough.Session) *parted { return &parted{s, d} }

// Upload stores the parts that are not there yet, and then the file.
func (p *parted) Upload(ctx context.Context, path string, src providers.Source, o providers.PutOptions, state []byte, save func([]byte) error) (providers.Entry, error) {
	p.d.mu.Lock()
	var id uint64
	var u *upload
	if len(state) == 8 {
		id = binary.BigEndian.Uint64(state)
		u = p.d.uploads[id]
	}
	if u == nil || u.path != path {
		p.d.next++
		id = p.d.next
		u = &upload{path: path, parts: map[int64][]byte{}, sent: map[int64]int{}}
		p.d.uploads[id] = u
	}
	p.d.mu.Unlock()
	whole := make([]byte, src.Size())
	for off := int64(0); off < src.Size(); off += p.d.part {
		part := whole[off:min(off+p.d.part, src.Size())]
		if _, err := src.ReadAt(part, off); err != nil && err != io.EOF {
			return providers.Entry{}, err
		}
		p.d.mu.Lock()
		there := bytes.Equal(u.parts[off], part)
		p.d.mu.Unlock()
		if there {
			continue
		}
		if err := save(binary.BigEndian.AppendUint64(nil, id)); err != nil {
			return providers.Entry{}, err
		}
		if _, err := p.Stat(ctx, ""); err != nil { // the line is as for all calls
			return providers.Entry{}, err
		}
		p.d.mu.Lock()
		u.parts[off] = bytes.Clone(part)
		u.sent[off]++
		p.d.mu.Unlock()
	}
	return p.Put(ctx, path, bytes.NewReader(whole), o)
}

// AbandonUpload forgets the parts.
func (p *parted) AbandonUpload(_ context.Context, state []byte) error {
	if len(state) == 8 {
		p.d.mu.Lock()
		defer p.d.mu.Unlock()
		delete(p.d.uploads, binary.BigEndian.Uint64(state))
	}
	return nil
}
