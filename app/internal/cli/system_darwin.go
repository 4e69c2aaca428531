package cli

const fileManager = "open"

func hasDesktop(func(string) string) bool { return true }
