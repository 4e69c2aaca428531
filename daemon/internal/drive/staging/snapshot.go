package staging

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Snapshot is one generation of a [File], for as long as that is not changed and
// not closed. Its methods may be called concurrently.
type Snapshot struct {
	f    *File
	gen  uint64
	st   State
	end  int64
	exts map[uint32][]extent
}

var _ io.ReaderAt = (*Snapshot)(nil)

// Generation is the one that File.Generation gives as long as this is the file.
func (s *Snapshot) Generation() uint64 { return s.gen }

// Size is in bytes.
func (s *Snapshot) Size() int64 { return s.st.Size }

// State is what Load needs, with the regions, to give this.
func (s *Snapshot) State() State { return s.st }

// Pieces is File.Pieces of this generation, also after the file was changed.
func (s *Snapshot) Pieces(off, n int64) []Piece { return s.layout().pieces(off, n) }

func (s *Snapshot) layout() layout {
	return layout{s.st.Size, s.st.Base, s.end, func(i uint32) []extent { return s.exts[i] }}
}

// ReadAt reads local and zero pieces as they are in this generation. The error
// is ErrNotLocal if some of the bytes are in the base, and ErrMoved if they may
// be of a later generation.
func (s *Snapshot) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read snapshot of staging file %x at %d: %w", s.f.id, off, fs.ErrInvalid)
	}
	n := 0
	for _, piece := range s.Pieces(off, int64(len(p))) {
		part := p[piece.Off-off:][:piece.N]
		switch piece.Kind {
		case Zero:
			clear(part)
		case Local:
			if err := s.read(part, piece.Off); err != nil {
				return n, err
			}
		default:
			return n, fmt.Errorf("read snapshot of staging file %x at %d: %w", s.f.id, piece.Off, ErrNotLocal)
		}
		n += len(part)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s *Snapshot) read(p []byte, off int64) error {
	err := s.f.read(p, off)
	// A write moves the generation before it changes any byte.
	if s.f.Generation() != s.gen {
		return fmt.Errorf("read snapshot of staging file %x: %w", s.f.id, errors.Join(ErrMoved, err))
	}
	return err
}
