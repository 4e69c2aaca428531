package mounts

import (
	"strings"

	"golang.org/x/sys/windows"
)

func isVolume(dir string) bool { return len(dir) == 2 && dir[1] == ':' }

// defaultDir is where a drive goes that was given no place: the last free drive
// letter.
func (m *Manager) defaultDir(string) string {
	used, err := windows.GetLogicalDrives()
	if err != nil {
		return "Z:"
	}
	const letters = "DEFGHIJKLMNOPQRSTUVWXYZ"
	for i := len(letters) - 1; i >= 0; i-- {
		if used&(1<<strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZ", letters[i])) == 0 {
			return letters[i:i+1] + ":"
		}
	}
	return "Z:"
}
