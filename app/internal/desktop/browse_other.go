//go:build !windows && !darwin

package desktop

const (
	fileManager      = "xdg-open"
	exitStatusCounts = true
)

func root(folder string) string { return folder }
