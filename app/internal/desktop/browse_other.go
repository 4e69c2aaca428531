//go:build !windows && !darwin

package desktop

const (
	fileManager      = "xdg-open"
	exitStatusCounts = true
)
