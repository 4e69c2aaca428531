package logfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogIsBounded(t *testing.T) {
	p := filepath.Join(t.TempDir(), "state", "x.log")
	l, err := Open(p, 1000)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 99) + "\n"
	for range 55 {
		if _, err := l.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	if l, err = Open(p, 1000); err != nil { // goes on after a restart
		t.Fatal(err)
	}
	if _, err := l.Write([]byte("last\n")); err != nil {
		t.Fatal(err)
	}
	l.Close()
	now, err := os.ReadFile(p)
	if err != nil || len(now) != 505 || !strings.HasSuffix(string(now), "last\n") {
		t.Errorf("the log holds %d bytes, %v", len(now), err)
	}
	old, err := os.ReadFile(p + ".1")
	if err != nil || len(old) != 1000 {
		t.Errorf("the log before holds %d bytes, %v", len(old), err)
	}
	if files, _ := os.ReadDir(filepath.Dir(p)); len(files) != 2 {
		t.Errorf("%d files, want 2", len(files))
	}
	if st, err := os.Stat(p); err != nil || st.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if _, err := l.Write(nil); err == nil {
		t.Error("Write after Close succeeded")
	}
}
