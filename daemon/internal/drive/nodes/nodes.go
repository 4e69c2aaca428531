// Package nodes keeps what a drive knows of its objects: ids that are given out
// once and never again, names, attributes and the order of listings. What a
// change stored is on stable storage when the change returns, so an id that
// anybody has seen is still there after a crash.
//
// A store is an ordered map of keys to records; format 2 is this (integers are
// big endian, ids and cookies 8 bytes):
//
//	M format                   format number, 4 bytes
//	M next                     ids from here on were never given out, 8 bytes
//	M hidden                   names left out of all listings together, 8 bytes
//	M rev                      last revision of the remote that was seen
//	I id                       a Node, see encode.go
//	D directory name           id, cookie
//	C directory cookie         id, name: the listing in its order
//	T directory name           a Tomb: the remote still has this name, the drive does not
//	Q id                       a Pending: the remote does not know all of this node
//	S id region                bytes of the node that lie on this computer, see package staging
//	U id                       an upload that was begun: what the remote may have got
//	P slot                     number and key of a call that changed something
//	K id                       since when the node is kept on this computer, 8 bytes
//	R remote id                id of the node that has it, see Tx.Identify
//	G id                       of a directory that is gone: cookie behind which what is in it goes, see Tx.Collect
//
// Format 1 had I, D, C and M, and shorter records of nodes.
// A copy of every format is in testdata.
package nodes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Root is the id of the root directory.
const Root uint64 = 1

// FirstCookie is the smallest cookie of an entry; NFS clients use those below
// for "." and "..".
const FirstCookie uint64 = 3

const formatVersion = 2

// idBlock is how many ids are reserved with one write.
const idBlock = 1 << 16

// Errors of this package.
var (
	ErrNotFound = errors.New("no such node")
	ErrFormat   = errors.New("the drive's state was written by a newer version of Moorage")
	ErrCorrupt  = errors.New("the drive's state is damaged")
	ErrFull     = fmt.Errorf("no room for the drive's state: %w", syscall.ENOSPC)
	// ErrBroken means that the disk failed to write. What was being made durable
	// may become so later, see [Store.Trouble].
	ErrBroken = errors.New("the drive's state cannot be written")
)

// KV is an ordered map on stable storage. Its methods may be called
// concurrently, but not after Close.
type KV interface {
	// Get returns a copy of the value, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// GetEach calls fn for those of the keys that are there, with their numbers and
	// values, which are valid during the call only, until fn returns false. It is
	// made for keys in their order.
	GetEach(keys [][]byte, fn func(i int, v []byte) bool) error
	// Scan calls fn for the keys k, from ≤ k < to, in order, until fn returns
	// false. It sees the map as it was when it began. k and v are valid during
	// the call only.
	Scan(from, to []byte, fn func(k, v []byte) bool) error
	// Apply makes all changes or none. Readers see them at once; they are on
	// stable storage when durable, which is called once, has returned without an
	// error. Changes become durable in the order in which they were made.
	Apply(changes []Change) (durable func() error, err error)
	Close() error
}

// Change sets a key, or deletes it if Value is nil.
type Change struct {
	Key, Value []byte
}

// Store is the nodes of one drive. Reads may run concurrently with each other
// and with one Update at a time.
type Store struct {
	kv    KV
	cache *cache

	// writing is held during an Update until readers see its changes, not while
	// it waits for stable storage, so that many can wait together.
	writing  sync.Mutex
	next     uint64 // the id that is given out next
	reserved uint64 // ids below are reserved on stable storage
	some     bool   // there may be garbage

	garbage chan struct{} // see Garbage
}

// cacheSize is how many nodes are kept in memory, half a KiB each. Folders are
// listed without it.
const cacheSize = 1 << 14

// Open opens the nodes in the folder dir, which is made if need be. One
// process at a time can have it open.
func Open(dir string, log *slog.Logger) (*Store, error) { return OpenIn(vfs.Default, dir, log) }

// OpenIn is Open for a folder of files.
func OpenIn(files vfs.FS, dir string, log *slog.Logger) (*Store, error) {
	kv, err := openPebble(dir, files, log)
	if err != nil {
		return nil, fmt.Errorf("open the drive's state in %s: %w", dir, err)
	}
	s, err := New(kv)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the drive's state in %s: %w", dir, err), kv.Close())
	}
	return s, nil
}

// New makes a store of kv, which Close closes.
func New(kv KV) (*Store, error) {
	s := &Store{kv: kv, cache: newCache(cacheSize), garbage: make(chan struct{}, 1)}
	s.tellGarbage() // an earlier process may have left some
	v, err := kv.Get(metaKey("format"))
	switch {
	case errors.Is(err, ErrNotFound):
		s.next, s.reserved = Root+1, Root+1
		format := binary.BigEndian.AppendUint32(nil, formatVersion)
		return s, s.applyNow([]Change{{metaKey("format"), format}, {metaKey("next"), id8(s.reserved)}})
	case err != nil:
		return nil, err
	case len(v) != 4 || binary.BigEndian.Uint32(v) == 0:
		return nil, ErrCorrupt
	case binary.BigEndian.Uint32(v) > formatVersion:
		return nil, ErrFormat
	}
	next, err := kv.Get(metaKey("next"))
	if err != nil || len(next) != 8 {
		return nil, errors.Join(ErrCorrupt, err)
	}
	s.next = binary.BigEndian.Uint64(next)
	s.reserved = s.next
	if binary.BigEndian.Uint32(v) < formatVersion {
		// Older records are read as they are; older programs must not read newer ones.
		return s, s.applyNow([]Change{{metaKey("format"), binary.BigEndian.AppendUint32(nil, formatVersion)}})
	}
	return s, nil
}

// Trouble is why nothing can be stored at this time: ErrFull or ErrBroken. It
// passes by itself when the disk lets it. Nothing that was stored is lost, and
// all of it can be read meanwhile.
func (s *Store) Trouble() error {
	if t, ok := s.kv.(troubled); ok {
		return t.Trouble()
	}
	return nil
}

// Troubles wakes up after Trouble has changed. There is one channel.
func (s *Store) Troubles() <-chan struct{} {
	if t, ok := s.kv.(troubled); ok {
		return t.Troubles()
	}
	return nil
}

// troubled is a KV that gets over failures of its disk.
type troubled interface {
	Trouble() error
	Troubles() <-chan struct{}
	// Settle waits for the end of a failure that durable has met, for a while. It
	// gives nil if the changes are on stable storage then, or else err.
	Settle(err error) error
}

// applyNow makes changes and waits until they are on stable storage.
func (s *Store) applyNow(changes []Change) error {
	durable, err := s.kv.Apply(changes)
	if err != nil {
		return err
	}
	return durable()
}

// Close closes the store. Nothing may be going on.
func (s *Store) Close() error { return s.kv.Close() }

// Get returns a node or ErrNotFound.
func (s *Store) Get(id uint64) (Node, error) {
	n, stamp, ok := s.cache.get(id)
	if ok {
		return n, nil
	}
	n, err := s.load(id)
	if err == nil {
		s.cache.fill(n, stamp)
	}
	return n, err
}

func (s *Store) load(id uint64) (Node, error) {
	v, err := s.kv.Get(nodeKey(id))
	return toNode(id, v, err)
}

func toNode(id uint64, v []byte, err error) (Node, error) {
	if err != nil {
		return Node{}, err
	}
	n, err := decodeNode(v)
	if err != nil {
		return Node{}, fmt.Errorf("node %d: %w", id, err)
	}
	n.ID = id
	return n, nil
}

// GetEach calls fn for those of the nodes that are there, with their numbers among
// ids. It costs less than as many calls of Get, and leaves those in memory that
// were used last.
func (s *Store) GetEach(ids []uint64, fn func(i int, n Node)) error {
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = nodeKey(id)
	}
	var bad error
	err := s.kv.GetEach(keys, func(i int, v []byte) bool {
		var n Node
		if n, bad = toNode(ids[i], v, nil); bad == nil {
			fn(i, n)
		}
		return bad == nil
	})
	return errors.Join(err, bad)
}

// Child finds the node that name in dir stands for, or ErrNotFound.
func (s *Store) Child(dir uint64, name string) (id, cookie uint64, err error) {
	v, err := s.kv.Get(entryKey(dir, name))
	if err != nil {
		return 0, 0, err
	}
	return decodeEntry(v)
}

// Entry is one name of a directory.
type Entry struct {
	ID, Cookie uint64
	Name       string
}

// Children calls fn for the entries of dir behind cookie after, in the order
// of their cookies, until fn returns false.
func (s *Store) Children(dir, after uint64, fn func(Entry) bool) error {
	if after == ^uint64(0) {
		return nil
	}
	var bad error
	err := s.kv.Scan(cookieKey(dir, after+1), cookieKey(dir+1, 0), func(k, v []byte) bool {
		if len(k) != 17 || len(v) <= 8 {
			bad = fmt.Errorf("listing of node %d: %w", dir, ErrCorrupt)
			return false
		}
		return fn(Entry{ID: binary.BigEndian.Uint64(v), Cookie: binary.BigEndian.Uint64(k[9:]), Name: string(v[8:])})
	})
	return errors.Join(err, bad)
}

// Meta returns a value kept under a name, nil if there is none.
func (s *Store) Meta(name string) ([]byte, error) {
	v, err := s.kv.Get(metaKey(name))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return v, err
}

// Tx collects changes. Its reads see them. It is valid during Update only.
type Tx struct {
	s       *Store
	changes []Change
	pending map[string][]byte // nil: deleted
	touched []uint64          // nodes that the cache must forget
	hidden  int64             // Hidden of directories that were removed
	removed func(Node)
	tombs   int             // whether there are any: 0 is not known, 1 none, 2 some
	above   map[uint64]bool // directories above nodes that wait; nil: not known
	took    int             // how many nodes were removed
	left    bool            // something was left for Collect
}

// Update runs fn and then makes its changes, all or none; they are on stable
// storage when it returns. An error of fn undoes all. Updates run one after the
// other, and wait for the disk together.
func (s *Store) Update(fn func(*Tx) error) error {
	durable, err := s.Begin(fn)
	if err != nil {
		return err
	}
	return durable()
}

// Begin is Update that lets the caller wait for stable storage later: durable,
// which is called once.
func (s *Store) Begin(fn func(*Tx) error) (durable func() error, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	tx := &Tx{s: s, pending: map[string][]byte{}}
	if err := fn(tx); err != nil {
		return nil, err
	}
	if tx.left {
		s.tellGarbage()
	}
	stored, err := tx.apply()
	if err != nil {
		return nil, err
	}
	return func() error {
		err := stored()
		if k, ok := s.kv.(troubled); ok && err != nil {
			err = k.Settle(err) // nobody else waits for us here
		}
		return err
	}, nil
}

func (tx *Tx) apply() (durable func() error, err error) {
	if len(tx.changes) == 0 {
		return func() error { return nil }, nil
	}
	durable, err = tx.s.kv.Apply(tx.changes)
	tx.s.cache.forget(tx.touched)
	tx.changes, tx.touched = nil, nil
	clear(tx.pending)
	return durable, err
}

func (tx *Tx) set(key, value []byte) {
	tx.pending[string(key)] = value
	tx.changes = append(tx.changes, Change{key, value})
}

func (tx *Tx) get(key []byte) ([]byte, error) {
	if v, ok := tx.pending[string(key)]; ok {
		if v == nil {
			return nil, ErrNotFound
		}
		return v, nil
	}
	return tx.s.kv.Get(key)
}

// NewID gives out an id that nobody ever had.
func (tx *Tx) NewID() (uint64, error) {
	s := tx.s
	if s.next == s.reserved {
		r := s.reserved + idBlock
		if r < s.reserved {
			return 0, errors.New("no ids are left")
		}
		if err := s.applyNow([]Change{{metaKey("next"), id8(r)}}); err != nil {
			return 0, err
		}
		s.reserved = r
	}
	s.next++
	return s.next - 1, nil
}

// Get is [Store.Get].
func (tx *Tx) Get(id uint64) (Node, error) {
	v, err := tx.get(nodeKey(id))
	return toNode(id, v, err)
}

// Child is [Store.Child].
func (tx *Tx) Child(dir uint64, name string) (id, cookie uint64, err error) {
	v, err := tx.get(entryKey(dir, name))
	if err != nil {
		return 0, 0, err
	}
	return decodeEntry(v)
}

// Put stores a node.
func (tx *Tx) Put(n Node) {
	tx.touched = append(tx.touched, n.ID)
	tx.set(nodeKey(n.ID), n.encode())
}

// Link gives node id a name and a place in the listing of dir.
func (tx *Tx) Link(dir uint64, name string, id, cookie uint64) {
	tx.set(entryKey(dir, name), append(id8(id), id8(cookie)...))
	tx.set(cookieKey(dir, cookie), append(id8(id), name...))
}

// HiddenGone is how many hidden names went with the directories that were
// removed since it was last asked.
func (tx *Tx) HiddenGone() int64 {
	n := tx.hidden
	tx.hidden = 0
	return n
}

// SetMeta keeps a value under a name.
func (tx *Tx) SetMeta(name string, v []byte) { tx.set(metaKey(name), bytes.Clone(v)) }

func id8(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func metaKey(name string) []byte { return append([]byte{'M'}, name...) }

func nodeKey(id uint64) []byte { return append([]byte{'I'}, id8(id)...) }

func entryKey(dir uint64, name string) []byte {
	return append(append([]byte{'D'}, id8(dir)...), name...)
}

func cookieKey(dir, cookie uint64) []byte {
	return append(append([]byte{'C'}, id8(dir)...), id8(cookie)...)
}

func decodeEntry(v []byte) (id, cookie uint64, err error) {
	if len(v) != 16 {
		return 0, 0, fmt.Errorf("directory entry: %w", ErrCorrupt)
	}
	return binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:]), nil
}
