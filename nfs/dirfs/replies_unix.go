//go:build linux || darwin

package dirfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/moorage/moorage/nfs"
)

// A change of the host's file system and the note that it was made cannot be
// one. So a call is noted before it changes something, and its reply after. A
// process that finds a note without a reply, and is asked the same again, looks
// how far the change went.
//
// The notes are slots of a file that is written round and round. They are not
// synced: what they are for is the end of the process, which leaves what was
// written with the kernel.
const (
	repliesName  = "replies.ring"
	replySlot    = 512 // bytes
	replySlots   = 4096
	replyHeader  = 4 + 2 + 1 + 1 + 8 + 16
	maxReply     = replySlot - replyHeader
	intentSize   = 16
	kindIntent   = 1
	kindReply    = 2
	kindCanceled = 3
)

// note is one slot: crc32c of what follows u32, length of the body u16, kind u8,
// version u8, number u64, key, body; numbers are little-endian.
type note struct {
	kind byte
	seq  uint64
	key  nfs.CallKey
	body []byte
}

const noteVersion = 1

func appendNote(b []byte, n *note) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(n.body)))
	b = append(b, n.kind, noteVersion)
	b = binary.LittleEndian.AppendUint64(b, n.seq)
	b = append(b, n.key[:]...)
	b = append(b, n.body...)
	binary.LittleEndian.PutUint32(b[at:], crc32.Checksum(b[at+4:], castagnoli))
	return b
}

// decodeNote reads the note in a slot; errCorrupt if there is none.
func decodeNote(b []byte) (n note, err error) {
	if len(b) < replyHeader {
		return n, errCorrupt
	}
	size := int(binary.LittleEndian.Uint16(b[4:]))
	if size > maxReply || replyHeader+size > len(b) || b[7] != noteVersion {
		return n, errCorrupt
	}
	b = b[:replyHeader+size]
	if binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:], castagnoli) {
		return n, errCorrupt
	}
	n.kind, n.seq, n.body = b[6], binary.LittleEndian.Uint64(b[8:]), b[replyHeader:]
	copy(n.key[:], b[16:])
	switch {
	case n.kind == kindIntent && size == intentSize, n.kind == kindReply, n.kind == kindCanceled && size == 0:
		return n, nil
	}
	return note{}, errCorrupt
}

// intent is what a call was about to do.
type intent struct {
	begun int64  // Unix nanoseconds
	id    nfs.ID // of the object whose name goes or comes; 0: a new one
}

// replyLog keeps the notes. Its methods may be called concurrently; on nil,
// which is what there is without a StateDir, they do nothing.
type replyLog struct {
	log     *slog.Logger
	file    *os.File
	replies map[nfs.CallKey][]byte // of earlier processes

	mu      sync.Mutex
	intents map[nfs.CallKey]intent // of earlier processes, and not finished since
	seq     uint64
	slots   map[nfs.CallKey]int64 // of the calls in work
	owners  [replySlots]nfs.CallKey
	failed  bool
}

func openReplies(dir string, log *slog.Logger) (*replyLog, error) {
	if dir == "" {
		return nil, nil
	}
	f, err := os.OpenFile(filepath.Join(dir, repliesName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of replies: %w", err)
	}
	l := &replyLog{log: log, file: f, replies: make(map[nfs.CallKey][]byte), intents: make(map[nfs.CallKey]intent), slots: make(map[nfs.CallKey]int64)}
	b := make([]byte, replySlot*replySlots)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		f.Close()
		return nil, fmt.Errorf("read log of replies: %w", err)
	}
	l.load(b[:n])
	return l, nil
}

func (l *replyLog) load(b []byte) {
	newest := make(map[nfs.CallKey]uint64) // a key may come again, and the ring wraps
	for ; len(b) > 0; b = b[min(replySlot, len(b)):] {
		n, err := decodeNote(b[:min(replySlot, len(b))])
		if err != nil {
			continue
		}
		l.seq = max(l.seq, n.seq+1)
		if n.seq < newest[n.key] {
			continue
		}
		newest[n.key] = n.seq
		delete(l.replies, n.key)
		delete(l.intents, n.key)
		switch n.kind {
		case kindReply:
			l.replies[n.key] = append([]byte(nil), n.body...)
		case kindIntent:
			l.intents[n.key] = intent{int64(binary.LittleEndian.Uint64(n.body)), nfs.ID(binary.LittleEndian.Uint64(n.body[8:]))}
		}
	}
}

func (l *replyLog) close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

// unfinished tells what an earlier process was about to do for this call.
func (l *replyLog) unfinished(key nfs.CallKey) (intent, bool) {
	if l == nil || key == (nfs.CallKey{}) {
		return intent{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	in, ok := l.intents[key]
	return in, ok
}

// begin notes that the call is about to change something. What it returns is
// called with the outcome: a change that failed takes the note back.
func (l *replyLog) begin(key nfs.CallKey, id nfs.ID, now time.Time) (end func(error)) {
	if l == nil || key == (nfs.CallKey{}) {
		return func(error) {}
	}
	var body [intentSize]byte
	binary.LittleEndian.PutUint64(body[:], uint64(now.UnixNano()))
	binary.LittleEndian.PutUint64(body[8:], uint64(id))
	l.mu.Lock()
	slot := int64(l.seq % replySlots)
	n := note{kind: kindIntent, seq: l.seq, key: key, body: body[:]}
	l.seq++
	// A call that failed late has left its slot behind.
	if old := l.owners[slot]; l.slots[old] == slot {
		delete(l.slots, old)
	}
	l.slots[key], l.owners[slot] = slot, key
	l.mu.Unlock()
	l.write(slot, &n)
	return func(err error) {
		if err == nil {
			return
		}
		l.mu.Lock()
		own := l.owners[slot] == key && l.slots[key] == slot
		if own {
			delete(l.slots, key)
		}
		l.mu.Unlock()
		if own { // else the slot has gone to another call meanwhile
			l.write(slot, &note{kind: kindCanceled, seq: n.seq, key: key})
		}
	}
}

// keep notes the reply to a call that was begun, here or in an earlier process.
func (l *replyLog) keep(key nfs.CallKey, reply []byte) {
	if l == nil || len(reply) > maxReply {
		return
	}
	l.mu.Lock()
	slot, ok := l.slots[key]
	delete(l.slots, key)
	if _, again := l.intents[key]; again && !ok {
		slot, ok = int64(l.seq%replySlots), true
		l.seq++
	}
	delete(l.intents, key)
	seq := l.seq
	l.mu.Unlock()
	if !ok {
		return // it changed nothing that asking again would change once more
	}
	// The number only has to say that the slot is in use.
	l.write(slot, &note{kind: kindReply, seq: seq - 1, key: key, body: reply})
}

func (l *replyLog) kept(key nfs.CallKey) ([]byte, bool) {
	if l == nil || len(l.replies) == 0 {
		return nil, false
	}
	r, ok := l.replies[key]
	return r, ok
}

func (l *replyLog) write(slot int64, n *note) {
	var room [replySlot]byte
	_, err := l.file.WriteAt(appendNote(room[:0], n), slot*replySlot)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && !l.failed {
		l.log.Warn("replies cannot be kept: a call that is repeated after a restart may fail", "err", err)
	}
	l.failed = err != nil
}
