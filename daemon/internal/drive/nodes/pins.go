package nodes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// PutPin says that a node, and all below it, is to be kept on this computer.
func (tx *Tx) PutPin(id uint64, since time.Time) { tx.set(pinKey(id), id8(uint64(nanos(since)))) }

// DeletePin says that it is not.
func (tx *Tx) DeletePin(id uint64) { tx.set(pinKey(id), nil) }

// Pin is since when a node is pinned, or ErrNotFound.
func (tx *Tx) Pin(id uint64) (time.Time, error) {
	v, err := tx.get(pinKey(id))
	if err != nil {
		return time.Time{}, err
	}
	return decodePin(v)
}

// MovePin gives the pin of a node, if it has one, to another one.
func (tx *Tx) MovePin(from, to uint64) error {
	since, err := tx.Pin(from)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		tx.DeletePin(from)
		tx.PutPin(to, since)
	}
	return err
}

// Pins calls fn for all pins, until it returns false.
func (s *Store) Pins(fn func(id uint64, since time.Time) bool) error {
	return s.records([]byte{'K'}, []byte{'K' + 1}, 9, func(k, v []byte) (bool, error) {
		since, err := decodePin(v)
		return err == nil && fn(binary.BigEndian.Uint64(k[1:]), since), err
	})
}

func decodePin(v []byte) (time.Time, error) {
	if len(v) != 8 {
		return time.Time{}, fmt.Errorf("pin: %w", ErrCorrupt)
	}
	return timeOf(int64(binary.BigEndian.Uint64(v))), nil
}

func pinKey(id uint64) []byte { return append([]byte{'K'}, id8(id)...) }
