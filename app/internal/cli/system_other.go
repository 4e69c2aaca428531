//go:build !darwin && !windows

package cli

const fileManager = "xdg-open"

func hasDesktop(getenv func(string) string) bool {
	return getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != ""
}
