package autostart

import (
	"os"
	"strings"
	"testing"
)

// The package's unit and the one that Install writes are the same.
func TestPackagedUnit(t *testing.T) {
	b, err := os.ReadFile("../../../packaging/linux/moorage.service")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(unit, "{{Path | cmdEscape}}", "/usr/bin/mooraged", 1); string(b) != want {
		t.Errorf("packaging/linux/moorage.service is\n%s\nnot\n%s", b, want)
	}
}
