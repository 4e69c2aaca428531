package nfs

import "strings"

// spelled finds the export and the path that a client means who wrote its UNC
// name, `\\host\Name\sub`, down in another way than with slashes and in the
// case of the export: path with backslashes for slashes, in any case if only
// one export fits, and "!" for the root, which UNC has no other name for.
// It returns false if that leads to nothing new.
//
// Exports with AllowMount are left out: their path may be a secret, and who
// knows it knows how it is spelled.
func (t *exportTable) spelled(path string) (string, bool) {
	clean := cleanPath(strings.ReplaceAll(path, `\`, "/"))
	if clean == "/!" {
		clean = "/"
	}
	found, many := "", false
	t.mu.RLock()
	defer t.mu.RUnlock()
	for p, x := range t.paths {
		switch {
		case x.AllowMount != nil || !within(clean, p):
		case len(p) > len(found): // the one furthest down, as in find
			found, many = p, false
		case len(p) == len(found):
			many = true
			if strings.HasPrefix(clean, p) {
				found = p
			}
		}
	}
	if found == "" || many && !strings.HasPrefix(clean, found) {
		return "", false
	}
	if found != "/" {
		clean = found + clean[len(found):]
	}
	return clean, clean != cleanPath(path)
}

// within reports whether path is export or lies below it, in any case. Both
// are clean.
func within(path, export string) bool {
	if export == "/" {
		return true
	}
	return len(path) >= len(export) && strings.EqualFold(path[:len(export)], export) &&
		(len(path) == len(export) || path[len(export)] == '/')
}
