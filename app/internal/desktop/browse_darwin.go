package desktop

const (
	fileManager      = "open"
	exitStatusCounts = true
)
