package serve

import (
	"io"

	"github.com/moorage/moorage/nfs"
)

// observer is told about the calls, nil if nobody wants to know. tell is
// called when the server has stopped, and writes what is still to be said.
func (o *Options) observer() (seen nfs.Observer, tell func()) {
	var obs []nfs.Observer
	tell = func() {}
	if o.Stats != nil {
		stats := new(nfs.Stats)
		obs = append(obs, stats)
		tell = func() { io.WriteString(o.Stats, stats.Snapshot().Table()) } // for people: nothing depends on it
	}
	if o.Trace != nil {
		trace := nfs.NewTrace(o.Trace)
		obs = append(obs, trace)
		table := tell
		tell = func() { trace.Close(); table() }
	}
	if obs == nil {
		return nil, tell
	}
	return nfs.Observers(obs...), tell
}
