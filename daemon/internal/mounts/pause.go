package mounts

import (
	"errors"
	"fmt"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/problem"
)

// ErrPaused is why a Source's Sync does not wait: nothing is published before Pause(false).
var ErrPaused = errors.New("publishing is paused")

// Pause has nothing of any drive published, also of those that are opened later, or has
// it go on. It does not wait.
func (m *Manager) Pause(on bool) {
	m.pausing.Lock()
	defer m.pausing.Unlock()
	m.paused = on
	for _, d := range m.all() {
		d.pause(on)
	}
}

func (m *Manager) isPaused() bool {
	m.pausing.Lock()
	defer m.pausing.Unlock()
	return m.paused
}

// catchUp tells d, which is open by now, what was said while it was being opened.
func (m *Manager) catchUp(d *drive) {
	m.pausing.Lock()
	defer m.pausing.Unlock()
	d.pause(m.paused)
}

func (d *drive) pause(on bool) {
	d.use(func(s *Source) {
		if s.Pause != nil {
			s.Pause(on)
		}
	})
}

// errPaused is why the changes of a drive are not published.
func errPaused(name string, p api.Pending) error {
	k := kept{pending: p}
	wait := "wait"
	if p.Files == 1 {
		wait = "waits"
	}
	return problem.New(api.ExitFailed, api.CodePaused, fmt.Sprintf("Transfers are paused, and %s of %q %s.", k.changes(), name, wait),
		"What was changed is kept on this computer, and published after the pause.", "End the pause: moorage resume.")
}
