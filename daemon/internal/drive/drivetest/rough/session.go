package rough

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"

	"github.com/moorage/moorage/providers"
)

// Session is the connection of one process. It is a provider with all powers.
type Session struct {
	r    *Remote
	dead bool // under r.mu
}

var (
	_ providers.Provider  = (*Session)(nil)
	_ providers.Writer    = (*Session)(nil)
	_ providers.Mover     = (*Session)(nil)
	_ providers.Symlinker = (*Session)(nil)
	_ providers.Prober    = (*Session)(nil)
)

// Connect gives a new process its connection.
func (r *Remote) Connect() *Session { return &Session{r: r} }

// Cut ends the process that has the connection: no call of it is done any more.
func (s *Session) Cut() {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.dead = true
}

var errLine = fmt.Errorf("%w: the line is broken", providers.ErrOffline)

// dice are those of a call. They depend on what it is and how often it was made, so
// that calls which are made at the same time do not change each other's luck.
// Called with mu held.
func (r *Remote) dice(what string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(what))
	r.calls[what]++
	return rand.New(rand.NewPCG(r.seed^h.Sum64(), r.calls[what]))
}

// call does one call: fn runs with mu held. changes is the path that it changes
// something at; "": none. more is what else the log tells of it.
func (s *Session) call(ctx context.Context, what, more, changes string, fn func() error) error {
	r := s.r
	r.mu.Lock()
	dice := r.dice(what)
	before, after := dice.Float64() < r.o.FailBefore, dice.Float64() < r.o.FailAfter
	go1, go2 := r.pause(dice), r.pause(dice)
	if r.calm {
		before, after, go1, go2 = false, false, 0, 0
	}
	r.mu.Unlock()
	if err := sleep(ctx, go1); err != nil {
		return err
	}
	r.mu.Lock()
	meet := changes != "" && !r.calm && !r.away && !s.dead
	r.mu.Unlock()
	if meet {
		r.o.Before(changes, dice)
	}
	what += more
	r.mu.Lock()
	var err error
	switch {
	case s.dead, r.away, before:
		err = errLine
		r.o.Log("remote: %s: not reached", what)
	default:
		err = fn()
		if after && err == nil {
			err = errLine
			r.o.Log("remote: %s: done, and the line broke", what)
		} else {
			r.o.Log("remote: %s: %v", what, err)
		}
	}
	r.mu.Unlock()
	if serr := sleep(ctx, go2); serr != nil {
		return serr
	}
	return err
}

func (r *Remote) pause(dice *rand.Rand) time.Duration {
	if r.o.Latency <= 0 || dice.IntN(3) == 0 {
		return 0
	}
	return time.Duration(dice.Int64N(int64(r.o.Latency)))
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Info tells what the kind of remote is.
func (s *Session) Info() providers.Info {
	i := s.r.inner.Info()
	if s.r.o.Kind != Full {
		i.TreeVersion = false
	}
	i.MaxParallel = 8
	return i
}

// Stat passes on.
func (s *Session) Stat(ctx context.Context, p string) (e providers.Entry, err error) {
	err = s.call(ctx, "stat "+p, "", "", func() error {
		if e, err = s.r.inner.Stat(ctx, p); err == nil {
			e = s.r.tell(e)
		}
		return err
	})
	return e, err
}

// ReadDir passes on.
func (s *Session) ReadDir(ctx context.Context, p, cursor string) (page providers.Page, err error) {
	err = s.call(ctx, "list "+p, "", "", func() error {
		if page, err = s.r.inner.ReadDir(ctx, p, cursor); err == nil {
			for i, e := range page.Entries {
				page.Entries[i] = s.r.tell(e)
			}
		}
		return err
	})
	return page, err
}

// Open passes on.
func (s *Session) Open(ctx context.Context, p string, v providers.Version) (o providers.Object, err error) {
	err = s.call(ctx, "open "+p, " "+string(v), "", func() error {
		o, err = s.r.inner.Open(ctx, p, s.r.cond(p, providers.Cond{IfVersion: v}).IfVersion)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &object{o, s, p}, nil
}

type object struct {
	providers.Object
	s *Session
	p string
}

func (o *object) Entry() providers.Entry {
	o.s.r.mu.Lock()
	defer o.s.r.mu.Unlock()
	return o.s.r.shown(o.Object.Entry())
}

func (o *object) ReadRange(ctx context.Context, off, n int64) (rc io.ReadCloser, err error) {
	err = o.s.call(ctx, fmt.Sprintf("read %s %d+%d", o.p, off, n), "", "", func() error {
		rc, err = o.Object.ReadRange(ctx, off, n)
		return err
	})
	return rc, err
}

// Probe passes on where there is one revision.
func (s *Session) Probe(ctx context.Context) (v providers.Version, err error) {
	if s.r.o.Kind != Full {
		return "", providers.ErrUnsupported
	}
	err = s.call(ctx, "probe", "", "", func() error {
		v, err = s.r.inner.Probe(ctx)
		return err
	})
	return v, err
}

// Put passes on.
func (s *Session) Put(ctx context.Context, p string, src providers.Source, o providers.PutOptions) (e providers.Entry, err error) {
	data := make([]byte, src.Size())
	if n, err := src.ReadAt(data, 0); n < len(data) {
		return e, fmt.Errorf("put %q: %w", p, err)
	}
	err = s.call(ctx, "put "+p, fmt.Sprintf(" %d bytes if %q absent %v", len(data), o.IfVersion, o.IfAbsent), p, func() error {
		e, err = s.put(ctx, "put", p, data, o)
		return err
	})
	return e, err
}

// put stores a file. Called with mu held.
func (s *Session) put(ctx context.Context, by, p string, data []byte, o providers.PutOptions) (providers.Entry, error) {
	o.Cond = s.r.cond(p, o.Cond)
	note := s.r.lose(by, p, data)
	e, err := s.r.inner.Put(ctx, p, bytes.NewReader(data), o)
	if err == nil {
		note()
		s.r.content[e.Version] = data
		if s.r.stored[string(data)] == nil {
			s.r.stored[string(data)] = map[string]bool{}
		}
		s.r.stored[string(data)][p] = true
		e = s.r.tell(e)
		s.r.o.Put(p, data)
		s.r.o.Log("remote: %s is %s now", p, e.Version)
	}
	return e, err
}

// Remove passes on.
func (s *Session) Remove(ctx context.Context, p string, c providers.Cond) error {
	return s.call(ctx, "remove "+p, fmt.Sprintf(" if %q", c.IfVersion), p, func() error { return s.remove(ctx, p, c) })
}

func (s *Session) remove(ctx context.Context, p string, c providers.Cond) error {
	note := s.r.lose("remove", p, nil)
	err := s.r.inner.Remove(ctx, p, s.r.cond(p, c))
	if err == nil {
		note()
	}
	return err
}

// Mkdir passes on.
func (s *Session) Mkdir(ctx context.Context, p string) (e providers.Entry, err error) {
	err = s.call(ctx, "mkdir "+p, "", p, func() error {
		if e, err = s.r.inner.Mkdir(ctx, p); err == nil {
			e = s.r.tell(e)
		}
		return err
	})
	return e, err
}

// Rmdir passes on.
func (s *Session) Rmdir(ctx context.Context, p string) error {
	return s.call(ctx, "rmdir "+p, "", p, func() error { return s.r.inner.Rmdir(ctx, p) })
}

// Move passes on where that can be. An object store copies, and takes away
// then.
func (s *Session) Move(ctx context.Context, from, to string, c providers.Cond) (e providers.Entry, err error) {
	if s.r.o.Kind == Still {
		return e, providers.ErrUnsupported
	}
	what, more := "move "+from+" to "+to, fmt.Sprintf(" if %q absent %v", c.IfVersion, c.IfAbsent)
	if s.r.o.Kind == Full {
		err = s.call(ctx, what, more, to, func() error {
			was, _ := s.r.inner.Stat(ctx, from)
			note := s.r.lose("move", to, s.r.content[was.Version])
			if e, err = s.r.inner.Move(ctx, from, to, c); err == nil {
				note()
				e = s.r.tell(e)
			}
			return err
		})
		return e, err
	}
	var was providers.Entry
	err = s.call(ctx, what+", copy", more, to, func() error {
		if was, err = s.r.inner.Stat(ctx, from); err != nil {
			return err
		}
		if was.Mode.IsDir() {
			return providers.ErrUnsupported
		}
		if was.Mode.IsRegular() {
			e, err = s.put(ctx, "move", to, s.r.content[was.Version], providers.PutOptions{Cond: c, ModTime: was.ModTime})
			return err
		}
		if e, err = s.r.inner.Symlink(ctx, to, string(s.r.content[was.Version])); err == nil {
			s.r.content[e.Version] = s.r.content[was.Version]
			e = s.r.tell(e)
		}
		return err
	})
	if err != nil {
		return e, err
	}
	err = s.call(ctx, what+", remove", more, from, func() error { // it is elsewhere: nothing is lost
		return s.r.inner.Remove(ctx, from, s.r.cond(from, providers.Cond{IfVersion: s.r.shown(was).Version}))
	})
	if errors.Is(err, providers.ErrNotExist) {
		err = nil
	}
	return e, err
}

// Symlink passes on where there are links.
func (s *Session) Symlink(ctx context.Context, p, target string) (e providers.Entry, err error) {
	if s.r.o.Kind == Still {
		return e, providers.ErrUnsupported
	}
	err = s.call(ctx, "symlink "+p, "", p, func() error {
		if e, err = s.r.inner.Symlink(ctx, p, target); err == nil {
			s.r.content[e.Version] = []byte(target)
			e = s.r.tell(e)
		}
		return err
	})
	return e, err
}

// Close ends the connection.
func (s *Session) Close() error { return nil }
