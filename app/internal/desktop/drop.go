package desktop

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/moorage/moorage/app/internal/linkfile"
)

// dropTime bounds the look at what was dropped, which may be on a disk that hangs.
const dropTime = 5 * time.Second

// Dropped gives the address of the first of paths that is a folder or the file of a
// link; "" if none is. done is called as that of Describe.
func (c *Controller) Dropped(paths []string, done func(address string)) (cancel func()) {
	return inquire(c, dropTime, func(ctx context.Context) (string, error) {
		found := make(chan string, 1)
		go func() { found <- firstAddress(paths) }() // left alone if it hangs
		select {
		case a := <-found:
			return a, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}, func(a string, err error) {
		if err != nil {
			c.o.Logger.Warn("look at what was dropped", "err", err)
		}
		done(a)
	})
}

func firstAddress(paths []string) string {
	for _, p := range paths {
		if a, err := addressOf(p); err == nil {
			return a
		}
	}
	return ""
}

func addressOf(path string) (string, error) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case st.IsDir():
		return path, nil
	case !st.Mode().IsRegular() || !linkfile.Is(path) || st.Size() > linkfile.MaxSize:
		return "", linkfile.ErrNone
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, linkfile.MaxSize))
	if err != nil {
		return "", fmt.Errorf("read a link: %w", err)
	}
	return linkfile.Address(path, b)
}
