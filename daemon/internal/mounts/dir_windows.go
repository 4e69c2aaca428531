package mounts

import "golang.org/x/sys/windows"

func isVolume(dir string) bool { return len(dir) == 2 && dir[1] == ':' }

// defaultDir is where a drive goes that was given no place: the last free drive
// letter.
func (m *Manager) defaultDir(string) string {
	if l := freeLetters(); len(l) > 0 {
		return l[0]
	}
	return "Z:"
}

// freeLetters are the drive letters that nothing has, the last one first. A and B are
// kept for what they were once.
func freeLetters() []string {
	used, err := windows.GetLogicalDrives()
	if err != nil {
		return []string{"Z:"}
	}
	free := []string{}
	for c := byte('Z'); c >= 'D'; c-- {
		if used&(1<<(c-'A')) == 0 {
			free = append(free, string(c)+":")
		}
	}
	return free
}
