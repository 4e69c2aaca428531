package drive

import (
	"sync"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
)

var _ nfs.ReplyKeeper = (*Drive)(nil)

// keptCalls is how many calls are remembered on disk: more than a client has
// under way.
const keptCalls = 1024

// repeats know which calls were done before this program was started, so that a
// client that got no answer and asks again is told that they were, and not that
// the name is there already, or not there any more. The key of a call is
// stored with the change that it makes, in one step.
type repeats struct {
	mu    sync.Mutex
	next  uint64
	done  map[nfs.CallKey]bool // by earlier processes
	again map[nfs.CallKey]bool // of these, what a client has asked for again
}

// load takes over what earlier processes did.
func (r *repeats) load(s *nodes.Store) error {
	r.done, r.again = map[nfs.CallKey]bool{}, map[nfs.CallKey]bool{}
	return s.Calls(func(seq uint64, key [16]byte) bool {
		r.done[key] = true
		r.next = max(r.next, seq+1)
		return true
	})
}

// note stores with tx that c's call is done.
func (r *repeats) note(tx *nodes.Tx, c *nfs.Caller) {
	if c == nil || c.Call == (nfs.CallKey{}) {
		return
	}
	r.mu.Lock()
	seq := r.next
	r.next++
	r.mu.Unlock()
	tx.PutCall(seq, keptCalls, c.Call)
}

// KeptReply keeps no reply: it takes note that a call is a repetition of one that
// was done, whose method then says so.
func (d *Drive) KeptReply(key nfs.CallKey) ([]byte, bool) {
	r := &d.repeats
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done[key] {
		r.again[key] = true
	}
	return nil, false
}

// KeepReply does nothing: that the call is done is stored already.
func (d *Drive) KeepReply(nfs.CallKey, []byte) {}

// repeated reports whether c's call was done before.
func (d *Drive) repeated(c *nfs.Caller) bool {
	r := &d.repeats
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.again[c.Call]
}

// wcc is what is told of a directory that was changed before.
func (d *Drive) wcc(dir uint64) (w nfs.WCC) {
	if n, err := d.node(dir); err == nil {
		w.After = d.attr(&n)
	}
	return w
}
