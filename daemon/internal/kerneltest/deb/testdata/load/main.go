// Command load works on a drive until SIGTERM, and ends with an error at the first
// thing that goes wrong: it writes to a file that stays open, reads from the server what
// it wrote, and makes, renames and removes files. LOG gets a line a round.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const (
	block  = 16 << 10
	blocks = 64
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: load DIR LOG")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(dir, log string) error {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	progress, err := os.Create(log)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "open"))
	if err != nil {
		return err
	}
	direct, err := os.OpenFile(f.Name(), os.O_RDONLY|syscall.O_DIRECT, 0) // asks the server each time
	if err != nil {
		return err
	}
	var longest time.Duration
	for n := 0; ; n++ {
		began := time.Now()
		if err := round(dir, f, direct, n); err != nil {
			return fmt.Errorf("round %d, after %v: %w", n, time.Since(began), err)
		}
		longest = max(longest, time.Since(began))
		if _, err := fmt.Fprintln(progress, n, longest); err != nil {
			return err
		}
		select {
		case <-end:
			return f.Close()
		default:
		}
	}
}

func content(n int) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("%15d\n", n)), block/16)
}

func round(dir string, f, direct *os.File, n int) error {
	if _, err := f.WriteAt(content(n), int64(n%blocks*block)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	for _, m := range []int{n, max(0, n-blocks+1)} {
		got := make([]byte, block)
		if _, err := direct.ReadAt(got, int64(m%blocks*block)); err != nil {
			return err
		}
		if !bytes.Equal(got, content(m)) {
			return fmt.Errorf("read %.16q… for block %d", got, m)
		}
	}
	before, after := filepath.Join(dir, fmt.Sprint("before", n)), filepath.Join(dir, fmt.Sprint("after", n))
	text := []byte(before)
	if err := os.WriteFile(before, text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(before, after); err != nil {
		return err
	}
	got, err := os.ReadFile(after)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, text) {
		return fmt.Errorf("read %q from %s", got, after)
	}
	return os.Remove(after)
}
