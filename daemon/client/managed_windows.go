package client

import "context"

// startManaged does nothing: the Run key starts programs at login only.
func startManaged(context.Context) bool { return false }
