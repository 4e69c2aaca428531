package main

import (
	"io/fs"
	"path/filepath"
	"sync"
	"time"
)

// usage measures a folder of what was fetched.
type usage struct {
	dir string

	mu    sync.Mutex
	at    time.Time
	bytes int64
}

const (
	usageEvery = 10 * time.Second
	usageFiles = 50_000 // more are not counted: the sum is for a person to look at
)

// measure returns the bytes in the files of the folder, as of the last ten
// seconds.
func (u *usage) measure() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.at.IsZero() && time.Since(u.at) < usageEvery {
		return u.bytes
	}
	var sum int64
	files := 0
	_ = filepath.WalkDir(u.dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // not there yet, or evicted meanwhile
		}
		if files++; files > usageFiles {
			return fs.SkipAll
		}
		if st, err := e.Info(); err == nil && e.Type().IsRegular() {
			sum += st.Size()
		}
		return nil
	})
	u.at, u.bytes = time.Now(), sum
	return sum
}
