//go:build unix

package mounts

import "path/filepath"

func isVolume(string) bool { return false }

// defaultDir is where a drive goes that was given no place.
func (m *Manager) defaultDir(name string) string {
	return filepath.Join(m.setup.Load().mountsDir, name)
}

// freeLetters is nil: drives are mounted on folders.
func freeLetters() []string { return nil }
