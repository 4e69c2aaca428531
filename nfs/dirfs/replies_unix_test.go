//go:build linux || darwin

package dirfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
)

func callKey(n uint64) (k nfs.CallKey) {
	binary.LittleEndian.PutUint64(k[:], n+1)
	return k
}

func newTestReplies(t *testing.T, dir string) *replyLog {
	t.Helper()
	l, err := openReplies(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *replyLog) again(t *testing.T, dir string) *replyLog {
	t.Helper()
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	return newTestReplies(t, dir)
}

func FuzzNote(f *testing.F) {
	f.Add(appendNote(nil, &note{kind: kindIntent, seq: 7, key: callKey(1), body: make([]byte, intentSize)}))
	f.Add(appendNote(nil, &note{kind: kindReply, seq: 1 << 60, key: callKey(2), body: []byte("a reply")}))
	f.Add(appendNote(nil, &note{kind: kindCanceled, key: callKey(3)}))
	f.Add(make([]byte, replySlot))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := decodeNote(b); err == nil {
			if again := appendNote(nil, &n); !bytes.HasPrefix(b, again) {
				t.Errorf("%x is written as %x", b, again)
			}
		}
		// Any bytes are a reply.
		want := note{kind: kindReply, seq: uint64(len(b)), body: b[:min(len(b), maxReply)]}
		copy(want.key[:], b)
		got, err := decodeNote(append(appendNote(nil, &want), 0))
		if err != nil || got.kind != want.kind || got.seq != want.seq || got.key != want.key || !bytes.Equal(got.body, want.body) {
			t.Errorf("%+v is read as %+v, %v", want, got, err)
		}
		l := replyLog{replies: make(map[nfs.CallKey][]byte), intents: make(map[nfs.CallKey]intent)}
		l.load(b)
	})
}

// TestRepliesWrap: the newest notes stay, and what is held of calls that never
// end is bounded.
func TestRepliesWrap(t *testing.T) {
	dir := t.TempDir()
	l := newTestReplies(t, dir)
	const calls = replySlots + 500
	for i := range uint64(calls) {
		l.begin(callKey(i), 0, time.Unix(1, 0))
		if i%2 == 0 {
			l.keep(callKey(i), binary.LittleEndian.AppendUint64(nil, i))
		}
	}
	if len(l.slots) != replySlots/2 {
		t.Errorf("%d slots", len(l.slots))
	}
	if st, err := l.file.Stat(); err != nil || st.Size() > replySlot*replySlots {
		t.Errorf("%v, %v", st.Size(), err)
	}
	for range 2 {
		l = l.again(t, dir)
		for i := range uint64(calls) {
			r, ok := l.kept(callKey(i))
			in, begun := l.unfinished(callKey(i))
			if stays := i >= calls-replySlots; ok != (stays && i%2 == 0) || begun != (stays && i%2 == 1) {
				t.Fatalf("call %d of %d: reply %v, intent %v", i, calls, ok, begun)
			}
			if ok && binary.LittleEndian.Uint64(r) != i || begun && in.begun != 1e9 {
				t.Errorf("call %d: reply %x, %+v", i, r, in)
			}
		}
	}
	// The next one takes the place of the oldest.
	l.begin(callKey(calls), 5, time.Unix(2, 0))
	l = l.again(t, dir)
	defer l.close()
	if _, ok := l.kept(callKey(calls - replySlots)); ok {
		t.Error("the oldest note stays")
	}
	if in, ok := l.unfinished(callKey(calls)); !ok || in != (intent{2e9, 5}) {
		t.Errorf("the newest note: %+v, %v", in, ok)
	}
	if _, ok := l.unfinished(callKey(calls - 1)); len(l.replies)+len(l.intents) != replySlots || !ok && calls%2 == 0 {
		t.Errorf("%d replies, %d intents", len(l.replies), len(l.intents))
	}
}

func TestDamagedReplies(t *testing.T) {
	dir := t.TempDir()
	l := newTestReplies(t, dir)
	for i := range uint64(10) {
		l.begin(callKey(i), 0, time.Unix(1, 0))
		l.keep(callKey(i), []byte("reply"))
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, repliesName)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[5*replySlot+33] ^= 1 // in the body
	flipped[7*replySlot+4] ^= 1  // in the length
	flipped[8*replySlot] ^= 1    // in the checksum
	for what, c := range map[string]struct {
		file []byte
		good int
	}{
		"whole": {whole, 10}, "empty": {nil, 0}, "short": {whole[:4*replySlot+10], 4}, "flipped": {flipped, 7},
		"longer": {append(bytes.Clone(whole), make([]byte, replySlot*replySlots)...), 10},
		"ones":   {bytes.Repeat([]byte{0xff}, 3*replySlot), 0},
	} {
		if err := os.WriteFile(name, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		l := newTestReplies(t, dir)
		if len(l.replies) != c.good || len(l.intents) != 0 {
			t.Errorf("%s: %d replies, %d intents", what, len(l.replies), len(l.intents))
		}
		// And it is of use from there on.
		l.begin(callKey(100), 0, time.Unix(1, 0))
		l.keep(callKey(100), []byte("new"))
		l = l.again(t, dir)
		if r, ok := l.kept(callKey(100)); !ok || string(r) != "new" {
			t.Errorf("%s: %q, %v", what, r, ok)
		}
		l.close()
	}
}

func TestFailedChangeTakesNoteBack(t *testing.T) {
	dir := t.TempDir()
	l := newTestReplies(t, dir)
	l.begin(callKey(1), 0, time.Unix(1, 0))(errors.New("no space"))
	l.begin(callKey(2), 0, time.Unix(1, 0))(nil)
	l.begin(nfs.CallKey{}, 0, time.Unix(1, 0))(nil)
	if len(l.slots) != 1 {
		t.Errorf("%d slots", len(l.slots))
	}
	l.keep(callKey(1), []byte("a refusal"))
	l.keep(callKey(3), []byte("of a call that changed nothing"))
	l.keep(callKey(2), make([]byte, maxReply+1))
	// One that fails when its slot belongs to another call.
	late := l.begin(callKey(4), 0, time.Unix(1, 0))
	for i := range uint64(replySlots) {
		l.begin(callKey(1000+i), 0, time.Unix(1, 0))
	}
	late(errors.New("at last"))
	l = l.again(t, dir)
	defer l.close()
	for i := range uint64(5) {
		_, ok := l.kept(callKey(i))
		if _, begun := l.unfinished(callKey(i)); ok || begun {
			t.Errorf("call %d: reply %v, intent %v", i, ok, begun)
		}
	}
	if len(l.intents) != replySlots {
		t.Errorf("%d intents", len(l.intents))
	}
	if _, ok := l.unfinished(nfs.CallKey{}); ok {
		t.Error("a call without a key is on record")
	}
}

// TestNewestNoteCounts: where the same key came twice, wherever in the ring.
func TestNewestNoteCounts(t *testing.T) {
	dir := t.TempDir()
	l := newTestReplies(t, dir)
	one := func(key, n uint64) { l.begin(callKey(key), 0, time.Unix(1, 0)); l.keep(callKey(key), []byte{byte(n)}) }
	for i := range uint64(replySlots - 3) {
		l.begin(callKey(1000+i), 0, time.Unix(1, 0))
	}
	one(1, 1)
	one(2, 1)
	one(3, 1)
	one(1, 2) // at the begin of the ring
	l.begin(callKey(2), 0, time.Unix(1, 0))(errors.New("failed"))
	l.begin(callKey(3), 0, time.Unix(1, 0))
	l = l.again(t, dir)
	defer l.close()
	if r, ok := l.kept(callKey(1)); !ok || r[0] != 2 {
		t.Errorf("reply %x, %v, want the second", r, ok)
	}
	if _, ok := l.kept(callKey(2)); ok {
		t.Error("a reply from before the call failed")
	}
	_, ok := l.kept(callKey(3))
	if _, begun := l.unfinished(callKey(3)); ok || !begun {
		t.Errorf("a call that was begun again: reply %v, intent %v", ok, begun)
	}
}
