package cli

import (
	"context"
	"errors"
	"time"
)

// How long a service that is alive may take to say that it is, and how often it is
// asked while it works. Half a minute of work is nothing unusual, silence is.
const (
	silence = 3 * time.Second
	askPace = time.Second
)

// errSilent tells that the service runs and says nothing.
var errSilent = errors.New("the service does not answer")

// silent reports whether there is a service that does not answer.
func (a *app) silent(ctx context.Context) bool {
	c, err := a.Connect()
	if err != nil {
		return false
	}
	short, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	_, err = c.Service(short)
	return errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
}

// whileItAnswers runs f, and gives it up with errSilent when the service says nothing
// any more.
func (a *app) whileItAnswers(ctx context.Context, f func(context.Context) error) error {
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := make(chan bool, 1)
	go func() {
		tick := time.NewTicker(askPace)
		defer tick.Stop()
		for {
			if a.silent(working) {
				cancel()
				silent <- true
				return
			}
			select {
			case <-working.Done():
				silent <- false
				return
			case <-tick.C:
			}
		}
	}()
	err := f(working)
	cancel()
	if <-silent && err != nil {
		return errSilent
	}
	return err
}

// unmountAlone becomes the program that takes a drive away without the service.
func (a *app) unmountAlone(ctx context.Context, arg string, force bool) error {
	argv := []string{"unmount"}
	if force {
		argv = append(argv, "--force")
	}
	argv = append(argv, "--", arg)
	dir, err := absDir(arg)
	if err != nil {
		return err
	}
	argv = append(argv, dir)
	if d := resolved(dir); d != "" && d != dir {
		argv = append(argv, d)
	}
	return a.serve(ctx, argv, "")
}
