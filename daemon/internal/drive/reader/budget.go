package reader

// DefaultBudget is the memory, in bytes, for all bytes on their way.
const DefaultBudget = 256 << 20

// Budget bounds memory for bytes on their way from remotes. Controllers share
// it. When it gets short, windows shrink, and then readers wait.
type Budget struct {
	limit int64
}

// NewBudget returns a budget of that many bytes; 0: DefaultBudget.
func NewBudget(limit int64) *Budget {
	if limit <= 0 {
		limit = DefaultBudget
	}
	return &Budget{limit: limit}
}
