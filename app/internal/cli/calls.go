package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/moorage/moorage/daemon/api"
)

// detail is d with what the list of drives leaves out.
func (a *app) detail(ctx context.Context, d api.Drive) (api.Drive, error) {
	c, ctx, cancel, err := a.ask(ctx)
	if err != nil {
		return d, err
	}
	defer cancel()
	return c.Drive(ctx, d.Name)
}

// showCalls shows what was asked of a drive's server.
func (a *app) showCalls(calls []api.Calls) {
	if len(calls) == 0 {
		return
	}
	a.say("")
	t := table{head: []string{"CALL", "COUNT", "FAILED", "REFUSED", "RECEIVED", "SENT", "HALF IN", "90% IN", "99% IN", "SLOWEST"}}
	for _, c := range calls {
		t.add(c.Procedure, count(c.Calls), count(c.Failed), count(c.Refused), size(int64(c.Received)), size(int64(c.Sent)),
			span(c.P50), span(c.P90), span(c.P99), span(c.Slowest))
	}
	t.write(a)
}

// count is a number, "" for 0.
func count(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// span is a time to two digits or so.
func span(d time.Duration) string {
	unit := time.Nanosecond
	for unit*100 <= d {
		unit *= 10
	}
	return d.Round(unit).String()
}
