package desktop

const (
	fileManager      = "open"
	exitStatusCounts = true
)

func root(folder string) string { return folder }
