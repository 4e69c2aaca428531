package serve

import (
	"context"
	"fmt"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/daemon/internal/problem"
)

// publishTime is how long the end waits for what is not published, where no later
// run would go on with it. A remote that is away is not waited for.
const publishTime = 15 * time.Second

// finish closes the drive, which nobody calls any more. keep says that the cache
// must stay although it is temporary, because it has the only copy of something.
func (o *Options) finish(src *mounts.Source, id, url, address string, temporary bool) (keep bool, err error) {
	if temporary && src.Sync != nil {
		if h := src.Health(); h.Online && h.Pending.Files > 0 {
			o.Logger.Info("publishing what was changed", "changes", h.Pending.Files)
			if err := publish(src); err != nil {
				o.Logger.Warn("not everything could be published", "err", err)
			}
		}
	}
	if src.Close != nil {
		if err := src.Close(); err != nil {
			o.Logger.Error("closing the drive failed", "err", err)
		}
	}
	if src.Sync == nil {
		return false, nil
	}
	u, err := o.Opener.Unpublished(stateDir(o.Cache, id), 1)
	n := u.Count
	switch {
	case err != nil:
		o.Logger.Error("it cannot be told what is not published", "err", err)
		return true, nil
	case n == 0:
		return false, nil
	case !temporary:
		o.Logger.Info("changes are kept; they are published by the next run with this cache", "changes", n, "cache", o.Cache)
		return true, nil
	}
	what := fmt.Sprintf("%d changes are not on %s yet.", n, url)
	if n == 1 {
		what = fmt.Sprintf("1 change is not on %s yet: %s.", url, u.Uploads[0].Path)
	}
	return true, problem.New(api.ExitFailed, api.CodeUnpublished, what, fmt.Sprintf("This computer has the only copy, in %s.", o.Cache),
		fmt.Sprintf("To go on with publishing: moorage serve %s --cache %s --listen %s", url, o.Cache, address))
}

// publish publishes what was changed, within publishTime and while the remote answers.
func publish(src *mounts.Source) error {
	ctx, cancel := context.WithTimeout(context.Background(), publishTime)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- src.Sync(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		case <-src.Changes:
			if !src.Health().Online {
				cancel()
			}
		}
	}
}
