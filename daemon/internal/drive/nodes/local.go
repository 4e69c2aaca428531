package nodes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Tomb says that the remote still has a name in a directory which the drive
// does not show there any more.
type Tomb struct {
	Dir        uint64 // the keys; not in the record
	Name       string
	Kind       Kind
	Node       uint64    // the node that was there: moved elsewhere, or a directory that is Gone; 0: there is none
	Version    string    // what the remote had there; "": not known
	Size       int64     // of that
	RemoteTime time.Time // of that
	Since      time.Time // when it was taken away
}

// encode gives the record: kind, node, size, remote time, since, version.
func (t *Tomb) encode() []byte {
	b := []byte{byte(t.Kind)}
	for _, v := range []uint64{t.Node, uint64(t.Size), uint64(nanos(t.RemoteTime)), uint64(nanos(t.Since))} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return append(b, t.Version...)
}

func decodeTomb(b []byte) (Tomb, error) {
	d := decoder{b: b}
	t := Tomb{Kind: Kind(d.byte()), Node: d.uint64(), Size: int64(d.uint64())}
	t.RemoteTime, t.Since = timeOf(int64(d.uint64())), timeOf(int64(d.uint64()))
	if d.bad || t.Kind < File || t.Kind > Link || t.Size < -1 {
		return Tomb{}, fmt.Errorf("tomb: %w", ErrCorrupt)
	}
	t.Version = string(d.b)
	return t, nil
}

// Pending says that a node waits to be published.
type Pending struct {
	Since  time.Time // of the oldest change that waits
	Parked string    // why it is not tried again by itself; "": it is
}

func (p *Pending) encode() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(nanos(p.Since))), p.Parked...)
}

func decodePending(b []byte) (Pending, error) {
	d := decoder{b: b}
	p := Pending{Since: timeOf(int64(d.uint64()))}
	if d.bad {
		return Pending{}, fmt.Errorf("pending: %w", ErrCorrupt)
	}
	p.Parked = string(d.b)
	return p, nil
}

// Upload is an upload or a move that was begun and whose end is not known.
type Upload struct {
	Dir     uint64 // where the object was put
	Name    string
	Size    int64
	Sum     [32]byte // SHA-256 of all its bytes; zero: not known yet
	Resume  []byte   // what the provider needs to go on
	Version string   // what it was to replace; "": nothing
	Moved   string   // the version that is moved there, or what else is done; "": it is uploaded
}

func (u *Upload) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, u.Dir)
	b = binary.BigEndian.AppendUint64(b, uint64(u.Size))
	b = append(b, u.Sum[:]...)
	for _, s := range []string{u.Name, u.Version, string(u.Resume), u.Moved} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b
}

func decodeUpload(b []byte) (Upload, error) {
	d := decoder{b: b}
	u := Upload{Dir: d.uint64(), Size: int64(d.uint64())}
	copy(u.Sum[:], d.take(32))
	u.Name, u.Version, u.Resume = d.string(), d.string(), []byte(d.string())
	if len(d.b) > 0 { // else it is of an earlier version
		u.Moved = d.string()
	}
	if d.bad || len(d.b) > 0 || u.Size < 0 {
		return Upload{}, fmt.Errorf("upload: %w", ErrCorrupt)
	}
	return u, nil
}

func tombKey(dir uint64, name string) []byte {
	return append(append([]byte{'T'}, id8(dir)...), name...)
}

func pendingKey(id uint64) []byte { return append([]byte{'Q'}, id8(id)...) }

func uploadKey(id uint64) []byte { return append([]byte{'U'}, id8(id)...) }

func regionKey(id uint64, region uint32) []byte {
	return binary.BigEndian.AppendUint32(append([]byte{'S'}, id8(id)...), region)
}

// Tomb returns the tomb of a name, or ErrNotFound.
func (s *Store) Tomb(dir uint64, name string) (Tomb, error) {
	v, err := s.kv.Get(tombKey(dir, name))
	return toTomb(dir, name, v, err)
}

// Tomb is [Store.Tomb].
func (tx *Tx) Tomb(dir uint64, name string) (Tomb, error) {
	v, err := tx.get(tombKey(dir, name))
	return toTomb(dir, name, v, err)
}

func toTomb(dir uint64, name string, v []byte, err error) (Tomb, error) {
	if err != nil {
		return Tomb{}, err
	}
	t, err := decodeTomb(v)
	t.Dir, t.Name = dir, name
	return t, err
}

// HasTombs reports whether there is any tomb at all.
func (tx *Tx) HasTombs() (bool, error) {
	if tx.tombs == 0 {
		tx.tombs = 1
		if err := tx.s.Tombs(0, func(Tomb) bool { tx.tombs = 2; return false }); err != nil {
			tx.tombs = 0
			return false, err
		}
	}
	return tx.tombs == 2, nil
}

// PutTomb stores a tomb.
func (tx *Tx) PutTomb(t Tomb) {
	tx.tombs = 2
	tx.set(tombKey(t.Dir, t.Name), t.encode())
}

// DeleteTomb takes the tomb of a name away, if there is one.
func (tx *Tx) DeleteTomb(dir uint64, name string) { tx.set(tombKey(dir, name), nil) }

// Tombs calls fn for the tombs of dir in the order of their names, or for all
// tombs if dir is 0, until fn returns false. Changes of a transaction that is
// under way are not seen.
func (s *Store) Tombs(dir uint64, fn func(Tomb) bool) error {
	from, to := tombKey(dir, ""), tombKey(dir+1, "")
	if dir == 0 {
		to = []byte{'T' + 1}
	}
	return s.records(from, to, 9, func(k, v []byte) (bool, error) {
		t, err := decodeTomb(v)
		t.Dir, t.Name = binary.BigEndian.Uint64(k[1:]), string(k[9:])
		return err == nil && fn(t), err
	})
}

// records scans keys of at least least bytes. An error of fn ends the scan.
func (s *Store) records(from, to []byte, least int, fn func(k, v []byte) (bool, error)) error {
	var bad error
	err := s.kv.Scan(from, to, func(k, v []byte) (more bool) {
		if len(k) < least {
			bad = ErrCorrupt
			return false
		}
		more, bad = fn(k, v)
		return more && bad == nil
	})
	return errors.Join(err, bad)
}

// Pending returns why a node waits to be published, or ErrNotFound.
func (tx *Tx) Pending(id uint64) (Pending, error) {
	v, err := tx.get(pendingKey(id))
	if err != nil {
		return Pending{}, err
	}
	return decodePending(v)
}

// PutPending says that a node waits.
func (tx *Tx) PutPending(id uint64, p Pending) { tx.set(pendingKey(id), p.encode()) }

// DeletePending says that it does not.
func (tx *Tx) DeletePending(id uint64) { tx.set(pendingKey(id), nil) }

// AllPending calls fn for the nodes that wait, until it returns false.
func (s *Store) AllPending(fn func(id uint64, p Pending) bool) error {
	return s.records([]byte{'Q'}, []byte{'Q' + 1}, 9, func(k, v []byte) (bool, error) {
		p, err := decodePending(v)
		return err == nil && fn(binary.BigEndian.Uint64(k[1:]), p), err
	})
}

// Upload returns the upload of a node that was begun, or ErrNotFound.
func (tx *Tx) Upload(id uint64) (Upload, error) {
	v, err := tx.get(uploadKey(id))
	if err != nil {
		return Upload{}, err
	}
	return decodeUpload(v)
}

// PutUpload stores what is known of an upload.
func (tx *Tx) PutUpload(id uint64, u Upload) { tx.set(uploadKey(id), u.encode()) }

// DeleteUpload says that its end is known.
func (tx *Tx) DeleteUpload(id uint64) { tx.set(uploadKey(id), nil) }

// PendingBelow reports whether a node in a directory or below it waited when the
// transaction asked that first: all of them are looked at once, however many
// directories are asked about. A node that is Gone waits to be forgotten, and is in no
// directory any more.
func (tx *Tx) PendingBelow(dir uint64) (bool, error) {
	if tx.above != nil {
		return tx.above[dir], nil
	}
	above := map[uint64]bool{}
	var bad error
	err := tx.s.AllPending(func(id uint64, _ Pending) bool {
		for pending := id; id != Root; {
			n, err := tx.s.Get(id)
			if errors.Is(err, ErrNotFound) || err == nil && id == pending && n.State&Gone != 0 {
				break
			}
			if bad = err; err != nil {
				return false
			}
			if id = n.Parent; above[id] {
				break
			}
			above[id] = true
		}
		return true
	})
	if err := errors.Join(err, bad); err != nil {
		return false, err
	}
	tx.above = above
	return above[dir], nil
}

// Uploads calls fn for all uploads that were begun, until it returns false.
func (s *Store) Uploads(fn func(id uint64, u Upload) bool) error {
	return s.records([]byte{'U'}, []byte{'U' + 1}, 9, func(k, v []byte) (bool, error) {
		u, err := decodeUpload(v)
		return err == nil && fn(binary.BigEndian.Uint64(k[1:]), u), err
	})
}

// PutRegion stores a record of the bytes of a node that lie on this computer;
// nil deletes it.
func (tx *Tx) PutRegion(id uint64, region uint32, record []byte) {
	tx.set(regionKey(id, region), record)
}

// Regions calls fn for what PutRegion stored of a node, until it returns false.
// The record is valid during the call only.
func (s *Store) Regions(id uint64, fn func(region uint32, record []byte) bool) error {
	return s.records(regionKey(id, 0), regionKey(id+1, 0), 13, func(k, v []byte) (bool, error) {
		return fn(binary.BigEndian.Uint32(k[9:]), v), nil
	})
}

// DeleteRegions deletes all of them.
func (tx *Tx) DeleteRegions(id uint64) error {
	return tx.s.Regions(id, func(region uint32, _ []byte) bool {
		tx.set(regionKey(id, region), nil)
		return true
	})
}

// Delete takes a node away that no name leads to.
func (tx *Tx) Delete(id uint64) error {
	n, err := tx.Get(id)
	if err != nil {
		return err
	}
	if err := tx.unidentify(n, id); err != nil {
		return err
	}
	tx.touched = append(tx.touched, id)
	tx.set(nodeKey(id), nil)
	return nil
}

// PutCall stores that a call was done, the seq-th; of the last size calls that is
// remembered.
func (tx *Tx) PutCall(seq, size uint64, key [16]byte) {
	tx.set(append([]byte{'P'}, id8(seq%size)...), append(id8(seq), key[:]...))
}

// Calls calls fn for what PutCall stored, until it returns false.
func (s *Store) Calls(fn func(seq uint64, key [16]byte) bool) error {
	return s.records([]byte{'P'}, []byte{'P' + 1}, 9, func(_, v []byte) (bool, error) {
		if len(v) != 8+16 {
			return false, fmt.Errorf("call: %w", ErrCorrupt)
		}
		return fn(binary.BigEndian.Uint64(v), [16]byte(v[8:])), nil
	})
}
