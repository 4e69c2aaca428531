//go:build unix && !darwin

package places

import "testing"

func TestDefault(t *testing.T) {
	t.Setenv("HOME", "/home/a")
	t.Setenv("XDG_CONFIG_HOME", "/conf")
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("XDG_CACHE_HOME", "relative") // does not count
	p, err := Default()
	want := Places{Config: "/conf/moorage/config.toml", State: "/home/a/.local/state/moorage", Cache: "/home/a/.cache/moorage",
		Log: "/home/a/.local/state/moorage/mooraged.log", Mounts: "/home/a/Moorage"}
	if err != nil || p != want {
		t.Errorf("got %+v, %v, want %+v", p, err, want)
	}
}
