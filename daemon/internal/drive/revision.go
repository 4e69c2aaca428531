package drive

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/providers"
)

// What is known of a remote counts for a revision. It is kept with the key of that,
// which is another one each time that the remote turns: if it turns back, what was told
// in between, by a remote that was about to turn, must not count again.

// turnTimeout bounds how long the trees of another revision may take.
const turnTimeout = 10 * time.Minute

// revisionKey is a revision, and the moment at which the remote turned to it, as nodes
// keep it: 0 only if there is none.
func revisionKey(v providers.Version, moment uint64) uint64 {
	if v == "" {
		return 0
	}
	h := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(v), moment))
	return binary.BigEndian.Uint64(h[:]) | 1
}

// loadRevision takes up what was shown last.
func (d *Drive) loadRevision() error {
	v, err := d.store.Meta("rev")
	if err != nil {
		return err
	}
	moment, err := d.store.Meta("turned")
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(moment) == 8 {
		d.moment = binary.BigEndian.Uint64(moment)
	}
	d.revision, d.rev = string(v), revisionKey(providers.Version(v), d.moment)
	return nil
}

func (d *Drive) currentRev() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rev
}

// stillAt reports whether the remote has not turned since its revision had that key.
func (d *Drive) stillAt(rev uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rev == rev && d.turnings%2 == 0
}

// turned counts turns, for turnTo.
func (d *Drive) turned() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.turnings
}

// turnTo takes over what a probe said that began when there had been so many turns;
// what is known counts until it changes.
func (d *Drive) turnTo(v providers.Version, turns uint64) error {
	d.mu.Lock()
	if d.turnings != turns || turns%2 == 1 || string(v) == d.revision {
		d.mu.Unlock()
		return nil
	}
	moment := d.setRevision(v)
	d.mu.Unlock()
	return d.tellRevision(v, moment)
}

// setRevision makes v current. The caller holds mu.
func (d *Drive) setRevision(v providers.Version) (moment uint64) {
	d.moment = max(d.moment+1, uint64(d.o.Clock().UnixNano()))
	d.revision, d.rev = string(v), revisionKey(v, d.moment)
	return d.moment
}

func (d *Drive) tellRevision(v providers.Version, moment uint64) error {
	d.health.wake()
	d.pins.changed()
	return d.update(func(tx *nodes.Tx) error {
		tx.SetMeta("rev", []byte(v))
		tx.SetMeta("turned", binary.BigEndian.AppendUint64(nil, moment))
		return nil
	})
}

// Turn shows another revision of the remote from when it returns on; until then, and
// if it fails, the old one. Objects that are in both keep their ids. It goes on when
// ctx is done. ErrUnsupported if the remote has no revisions; other errors are those
// of [providers.Reviser].
func (d *Drive) Turn(ctx context.Context, revision string) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	r, ok := d.p.(providers.Reviser)
	if !ok {
		return fmt.Errorf("show another revision: %w", providers.ErrUnsupported)
	}
	_, err := do(ctx, d.flights, "turn to "+revision, turnTimeout, func(ctx context.Context) (struct{}, error) {
		select {
		case d.turning <- struct{}{}: // one at a time
			defer func() { <-d.turning }()
		case <-ctx.Done():
			return struct{}{}, ctx.Err()
		}
		d.mu.Lock()
		d.turnings++
		d.mu.Unlock()
		v, err := r.Turn(ctx, revision)
		d.mu.Lock()
		d.turnings++
		if err != nil || string(v) == d.revision {
			d.mu.Unlock()
			return struct{}{}, err
		}
		moment := d.setRevision(v)
		d.mu.Unlock()
		return struct{}{}, d.tellRevision(v, moment)
	})
	return err
}
