package desktop

const (
	fileManager      = "explorer.exe"
	exitStatusCounts = false // Explorer exits with 1 when all is well
)
