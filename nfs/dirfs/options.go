package dirfs

import (
	"errors"
	"log/slog"
	"time"
)

// Options of [Open]. The zero value is usable.
type Options struct {
	// StateDir keeps where objects were seen last and the order of listings,
	// so that ids and directory cookies go on after a restart. It is made if
	// missing (0700), belongs to one exported folder, and should not lie inside
	// it. Without it the knowledge lives as long as the process.
	StateDir string

	// ReadOnly refuses every change with nfs.ErrROFS.
	ReadOnly bool

	Logger *slog.Logger     // nil: silent
	Clock  func() time.Time // nil: time.Now

	// MaxOpen bounds the descriptors that are kept open between calls: 0 means
	// 8192, or a quarter of what the process may have, if that is less. Every
	// call in flight may use a few more.
	MaxOpen int
}

// ErrInUse means that another process has the StateDir open.
var ErrInUse = errors.New("state folder is in use by another process")

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.MaxOpen <= 0 {
		o.MaxOpen = min(8192, descriptorLimit()/4)
	}
	o.MaxOpen = max(o.MaxOpen, 16)
}
