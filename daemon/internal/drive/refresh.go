package drive

import "context"

// backgroundKey marks contexts of work that no client has asked for.
type backgroundKey struct{}

func inBackground(ctx context.Context) bool { return ctx.Value(backgroundKey{}) != nil }
