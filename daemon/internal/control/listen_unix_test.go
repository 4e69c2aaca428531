//go:build unix

package control

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestRule12SocketIsPrivate(t *testing.T) {
	w := start(t)
	for p, want := range map[string]os.FileMode{w.socket: 0o600, filepath.Dir(w.socket): 0o700} {
		st, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", p, st.Mode().Perm(), want)
		}
	}
}

func TestSecondService(t *testing.T) {
	w := start(t)
	var running *RunningError
	if _, err := Listen(w.socket, slog.New(slog.DiscardHandler)); !errors.As(err, &running) || running.PID != os.Getpid() {
		t.Fatalf("second Listen: %v, want RunningError with our pid", err)
	}
	if _, err := w.client.Service(t.Context()); err != nil {
		t.Fatalf("the first service suffered: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	p := socketPath(t)
	if err := os.Mkdir(filepath.Dir(p), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as kill -9 leaves it
	l.Close()
	n, err := Listen(p, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
}

func TestListenRefusesBadPlaces(t *testing.T) {
	for name, prepare := range map[string]func(p string) error{
		"open folder": func(p string) error { return os.Chmod(filepath.Dir(p), 0o755) },
		"not a socket": func(p string) error {
			return os.WriteFile(p, []byte("precious"), 0o600)
		},
		"symlink for folder": func(p string) error {
			d := filepath.Dir(p)
			if err := os.Rename(d, d+".real"); err != nil {
				return err
			}
			return os.Symlink(d+".real", d)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := socketPath(t)
			if err := os.Mkdir(filepath.Dir(p), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := prepare(p); err != nil {
				t.Fatal(err)
			}
			if l, err := Listen(p, slog.New(slog.DiscardHandler)); err == nil {
				l.Close()
				t.Fatal("Listen succeeded")
			}
			if b, err := os.ReadFile(p); err == nil && string(b) != "precious" {
				t.Error("the file that was there is damaged")
			}
		})
	}
}
