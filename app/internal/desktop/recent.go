package desktop

import (
	"strings"
	"sync"
)

// Recent keeps the last lines of a log in memory. Its methods may be called
// concurrently.
type Recent struct {
	mu    sync.Mutex
	lines []string // a ring: next is the oldest once it is full
	next  int
}

// maxLine bounds what is kept of a line.
const maxLine = 4 << 10

// Write takes a line; it never fails.
func (r *Recent) Write(p []byte) (int, error) {
	line := strings.TrimRight(string(p[:min(len(p), maxLine)]), "\n") + "\n"
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) < logLines {
		r.lines = append(r.lines, line)
		return len(p), nil
	}
	r.lines[r.next] = line
	r.next = (r.next + 1) % logLines
	return len(p), nil
}

// Text is what is kept, the oldest first.
func (r *Recent) Text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines[r.next:], "") + strings.Join(r.lines[:r.next], "")
}
