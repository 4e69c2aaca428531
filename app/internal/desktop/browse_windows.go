package desktop

const (
	fileManager      = "explorer.exe"
	exitStatusCounts = false // Explorer exits with 1 when all is well
)

// root adds what "M:" lacks to be a folder and not the current one of a drive.
func root(folder string) string {
	if len(folder) == 2 && folder[1] == ':' {
		return folder + `\`
	}
	return folder
}
