package nfs

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// idGeneration is the number of paths after which those that were not used
// since as many paths ago are forgotten.
const idGeneration = 1 << 19

// ioNode is what an id of an ioFS stands for. The type is part of it because
// clients do not take well to a handle whose object changes its type.
type ioNode struct {
	path string
	typ  FileType
}

// id is a hash, so that it is the same after a restart. That two paths of a
// file system share their 64 bits takes somebody who searches for billions of
// names, and then it is only these two that are taken for each other.
func (n ioNode) id() ID {
	h := sha256.New()
	h.Write([]byte{byte(n.typ)})
	h.Write([]byte(n.path))
	return max(1, ID(binary.BigEndian.Uint64(h.Sum(nil))))
}

// ioIDs finds the nodes of ids. It remembers those used lately, so that
// nobody can fill the memory by asking for ever more spellings of a path on a
// host that takes them all.
type ioIDs struct {
	generation int // as idGeneration

	mu         sync.Mutex
	young, old map[ID]ioNode
}

func (t *ioIDs) put(n ioNode) ID {
	id := n.id()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.putLocked(id, n)
	return id
}

// putLocked needs t.mu.
func (t *ioIDs) putLocked(id ID, n ioNode) {
	if _, ok := t.young[id]; ok {
		return
	}
	if t.young == nil || len(t.young) >= t.generation {
		t.old, t.young = t.young, make(map[ID]ioNode)
	}
	t.young[id] = n
}

func (t *ioIDs) get(id ID) (ioNode, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.young[id]
	if !ok {
		if n, ok = t.old[id]; ok {
			t.putLocked(id, n)
		}
	}
	return n, ok
}
