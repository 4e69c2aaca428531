package mounts

import (
	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/nfs"
)

// count says where the calls of d's server are counted; nil: it has none.
func (d *drive) count(s *nfs.Stats) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats = s
}

// detail is describe with what the clients have asked for.
func (d *drive) detail() api.Drive {
	v := d.now()
	d.mu.Lock()
	stats := d.stats
	d.mu.Unlock()
	v.Uploads = d.uploads(detailUploads)
	v.Pins = d.pins()
	if stats == nil {
		return v
	}
	for _, p := range stats.Snapshot().Procedures {
		name := p.Name
		switch p.Program {
		case "":
			name = "unknown"
		case "MOUNT":
			name = "MOUNT " + name
		}
		v.Calls = append(v.Calls, api.Calls{Procedure: name, Calls: p.Calls, Failed: p.Failed, Refused: p.Refused,
			Received: p.Received, Sent: p.Sent, P50: p.P50, P90: p.P90, P99: p.P99, Slowest: p.Slowest})
	}
	return v
}
