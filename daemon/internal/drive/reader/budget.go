package reader

import "sync"

// DefaultBudget is the memory, in bytes, for all bytes on their way.
const DefaultBudget = 256 << 20

// Budget bounds memory for bytes on their way from remotes. Controllers share
// it. What runs ahead of readers gets half of it; when it is short, windows
// shrink, and then readers wait.
type Budget struct {
	limit int64

	mu   sync.Mutex
	used int64
	wait map[*Controller]struct{} // those that were refused
}

// NewBudget returns a budget of that many bytes; 0: DefaultBudget.
func NewBudget(limit int64) *Budget {
	if limit <= 0 {
		limit = DefaultBudget
	}
	return &Budget{limit: limit, wait: map[*Controller]struct{}{}}
}

// reserve takes n bytes for c, or has it woken when some are free. A request
// larger than all is let through when nothing else is.
func (b *Budget) reserve(c *Controller, n int64, ahead bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	limit := b.limit
	if ahead {
		limit /= 2
	}
	if b.used > 0 && b.used+n > limit {
		b.wait[c] = struct{}{}
		return false
	}
	b.used += n
	return true
}

func (b *Budget) release(n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	for c := range b.wait {
		delete(b.wait, c)
		c.poke()
	}
}

// forget makes b let go of a Controller that is closed.
func (b *Budget) forget(c *Controller) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.wait, c)
}

func (b *Budget) inUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
