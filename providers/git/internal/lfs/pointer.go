// Package lfs knows Git LFS: the pointer files that stand for large files, the
// attributes that say which files those are, and the batch API that has their
// contents (github.com/git-lfs/git-lfs, docs/spec.md and docs/api/batch.md).
package lfs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxPointer is the size in bytes from which a file is no pointer.
const MaxPointer = 1024

// Pointer stands for a large file.
type Pointer struct {
	OID  [sha256.Size]byte // sha256 of the content
	Size int64             // bytes of the content
}

// ErrNoPointer says that a file is not a pointer.
var ErrNoPointer = errors.New("not a Git LFS pointer")

// version is the only version URL that is written today. Pointers of 2012 and
// 2013 have "https://hawser.github.com/spec/v1".
const version = "https://git-lfs.github.com/spec/v1"

// ParsePointer reads a pointer: lines "key value", version first, then the other
// keys in order. Extensions (ext-0-NAME and so on) change the content on its way
// through a program, so that pointers with them are none to us.
func ParsePointer(b []byte) (Pointer, error) {
	var p Pointer
	if len(b) >= MaxPointer {
		return p, ErrNoPointer
	}
	text, ok := strings.CutSuffix(string(b), "\n")
	if !ok {
		return p, ErrNoPointer
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 3 || (lines[0] != "version "+version && lines[0] != "version https://hawser.github.com/spec/v1") {
		return p, ErrNoPointer
	}
	sum, ok := strings.CutPrefix(lines[1], "oid sha256:")
	if !ok || len(sum) != 2*sha256.Size || sum != strings.ToLower(sum) {
		return p, ErrNoPointer
	}
	if _, err := hex.Decode(p.OID[:], []byte(sum)); err != nil {
		return p, ErrNoPointer
	}
	size, ok := strings.CutPrefix(lines[2], "size ")
	if !ok || size == "" || strings.Trim(size, "0123456789") != "" || (size[0] == '0' && size != "0") {
		return p, ErrNoPointer
	}
	var err error
	if p.Size, err = strconv.ParseInt(size, 10, 64); err != nil {
		return p, ErrNoPointer
	}
	return p, nil
}

// String is the pointer file, in its usual form.
func (p Pointer) String() string {
	return fmt.Sprintf("version %s\noid sha256:%x\nsize %d\n", version, p.OID, p.Size)
}
