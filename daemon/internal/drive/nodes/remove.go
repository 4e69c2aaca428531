package nodes

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// removeAtOnce is how many nodes one transaction removes. What is more is only
// cut off, and taken away later, in pieces.
const removeAtOnce = 4096

// Remove takes an entry of dir, its node and everything below it away. Of a large
// tree only the node goes in this transaction, so that no name leads to what is
// below, and [Tx.Collect] does the rest, also after a crash. What this
// transaction has stored below the node stays.
func (tx *Tx) Remove(dir uint64, e Entry) error {
	tx.Unlink(dir, e)
	return tx.removeNode(e.ID)
}

func (tx *Tx) removeNode(id uint64) error {
	n, err := tx.Get(id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	tx.took++
	tx.hidden += int64(n.Hidden)
	if err != nil || n.Kind == Dir {
		if err := tx.removeBelow(id, 0); err != nil {
			return err
		}
	}
	return tx.drop(n, id)
}

// removeBelow removes what is in a directory behind a cookie, as far as the
// transaction has room.
func (tx *Tx) removeBelow(id, after uint64) error {
	var bad error
	err := tx.s.Children(id, after, func(e Entry) bool {
		if tx.took >= removeAtOnce {
			tx.left = true
			tx.set(garbageKey(id), id8(after))
			return false
		}
		after = e.Cookie
		bad = tx.Remove(id, e)
		return bad == nil
	})
	return errors.Join(err, bad)
}

// Garbage wakes up when there may be something for [Tx.Collect]. There is one
// channel.
func (s *Store) Garbage() <-chan struct{} { return s.garbage }

// tellGarbage is called with writing held.
func (s *Store) tellGarbage() {
	s.some = true
	select {
	case s.garbage <- struct{}{}:
	default:
	}
}

// Collect takes away a part of what [Tx.Remove] has cut off, and reports whether
// there may be more.
func (tx *Tx) Collect() (more bool, err error) {
	type cut struct{ id, after uint64 }
	var dirs []cut
	err = tx.s.records([]byte{'G'}, []byte{'G' + 1}, 9, func(k, v []byte) (bool, error) {
		if len(v) != 8 {
			return false, fmt.Errorf("a directory that is gone: %w", ErrCorrupt)
		}
		dirs = append(dirs, cut{binary.BigEndian.Uint64(k[1:]), binary.BigEndian.Uint64(v)})
		return len(dirs) < removeAtOnce, nil
	})
	for _, c := range dirs {
		if tx.took >= removeAtOnce || err != nil {
			break
		}
		tx.took++
		tx.set(garbageKey(c.id), nil)
		err = tx.removeBelow(c.id, c.after)
	}
	tx.s.some = len(dirs) > 0
	return tx.s.some, err
}

// HasCutOff reports whether there may be anything that [Tx.CutOff] is true of.
func (tx *Tx) HasCutOff() bool { return tx.s.some || tx.left }

// CutOff reports whether id is a directory that was removed and what is in it was
// not yet.
func (tx *Tx) CutOff(id uint64) (bool, error) {
	if !tx.HasCutOff() {
		return false, nil
	}
	_, err := tx.get(garbageKey(id))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func garbageKey(id uint64) []byte { return append([]byte{'G'}, id8(id)...) }
