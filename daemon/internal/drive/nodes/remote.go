package nodes

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// maxRemoteID is the longest id of a remote that is kept, in bytes.
const maxRemoteID = 1024

// Identify gives n, which the caller stores, the remote's id of its object. From
// then on [Tx.ByRemoteID] finds n by it, and nothing else. "" and ids that are
// too long leave n as it is.
func (tx *Tx) Identify(n *Node, remoteID string) error {
	if remoteID == "" || len(remoteID) > maxRemoteID || remoteID == n.RemoteID {
		return nil
	}
	if err := tx.unidentify(*n, n.ID); err != nil {
		return err
	}
	n.RemoteID = remoteID
	tx.set(remoteKey(remoteID), id8(n.ID))
	return nil
}

// Unidentify takes the remote's id away from n, which the caller stores: it is not
// known what the remote's object is.
func (tx *Tx) Unidentify(n *Node) error {
	err := tx.unidentify(*n, n.ID)
	n.RemoteID = ""
	return err
}

// ByRemoteID finds the node that has an id of the remote, or ErrNotFound.
func (tx *Tx) ByRemoteID(remoteID string) (Node, error) {
	v, err := tx.get(remoteKey(remoteID))
	if err != nil {
		return Node{}, err
	}
	if len(v) != 8 {
		return Node{}, fmt.Errorf("remote id: %w", ErrCorrupt)
	}
	n, err := tx.Get(binary.BigEndian.Uint64(v))
	if err == nil && n.RemoteID != remoteID {
		err = ErrNotFound
	}
	return n, err
}

// ByRemoteID is [Tx.ByRemoteID].
func (s *Store) ByRemoteID(remoteID string) (Node, error) {
	return (&Tx{s: s}).ByRemoteID(remoteID)
}

// Unlink takes an entry of dir away and leaves its node, which the caller links
// elsewhere in this transaction.
func (tx *Tx) Unlink(dir uint64, e Entry) {
	tx.set(entryKey(dir, e.Name), nil)
	tx.set(cookieKey(dir, e.Cookie), nil)
}

// OnRemove makes the transaction call fn for every node that [Tx.Remove] takes
// away. The change may fail later.
func (tx *Tx) OnRemove(fn func(Node)) { tx.removed = fn }

// drop takes the record of node id away. n is what it was, as far as it could
// be read.
func (tx *Tx) drop(n Node, id uint64) error {
	if err := tx.unidentify(n, id); err != nil {
		return err
	}
	if tx.removed != nil && n.ID == id {
		tx.removed(n)
	}
	tx.touched = append(tx.touched, id)
	tx.set(nodeKey(id), nil)
	return nil
}

// unidentify makes sure that node id is not found by the remote's id that n has.
func (tx *Tx) unidentify(n Node, id uint64) error {
	if n.RemoteID == "" {
		return nil
	}
	v, err := tx.get(remoteKey(n.RemoteID))
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case len(v) == 8 && binary.BigEndian.Uint64(v) == id:
		tx.set(remoteKey(n.RemoteID), nil)
	}
	return nil
}

func remoteKey(remoteID string) []byte { return append([]byte{'R'}, remoteID...) }
