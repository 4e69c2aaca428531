package faults

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/s3"
	"github.com/moorage/moorage/providers/s3/s3test"
)

// published waits until all is on the remote without being told to hurry.
func (w *world) published() {
	w.t.Helper()
	w.until("all to be published", func() bool {
		s := w.d.Status()
		return s.Pending == 0 && s.Online
	})
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(bound); !ok(); time.Sleep(time.Second) {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain for %s: %+v, %+v", what, w.d.Status(), w.d.Ledger(5))
		}
	}
}

// refuses answers what a store says to a login that it does not take.
func refuses(code string, status int) trip { return says(status, s3Error(code)) }

// TestAuth has a store not take the login any more, or not for all.
func TestAuth(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t)
	files := tree{"r": noise(1, 100<<10), "unread": noise(2, 1000)}

	t.Run("expiry in the middle of an upload", func(t *testing.T) {
		atShop(t, newShop(t, srv), files, s3.Options{}, func(w *world, l *line) {
			w.know(files)
			w.holds("r", files["r"])
			w.list("") // what is there is known
			var mu sync.Mutex
			sent := map[string]int{}
			first := make(chan struct{}) // closed when the first part is there
			var expired time.Time
			l.set(func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
				mu.Lock()
				number := q.URL.Query().Get("partNumber")
				if number != "" && len(sent) == 0 {
					sent[number]++
					mu.Unlock()
					defer close(first)
					return next.RoundTrip(q)
				}
				if number != "" && expired.IsZero() {
					mu.Unlock()
					<-first
					mu.Lock()
					sent[number]++
					expired = time.Now()
				}
				refused := !expired.IsZero() && time.Since(expired) < 20*time.Minute
				mu.Unlock()
				if refused {
					return refuses("ExpiredToken", 400)(q, next)
				}
				return next.RoundTrip(q)
			})
			w.save("large", noise(3, 17<<20))
			w.until("the login to expire", func() bool { return !w.d.Status().Online })
			if s := w.d.Status(); !errors.Is(s.Err, providers.ErrAuth) {
				t.Errorf("the drive says %v", s.Err)
			}
			w.save("meanwhile", "text")
			w.holds("r", files["r"])
			since := time.Now()
			w.published()
			again := 0
			for _, a := range l.requests(since) {
				if a.op == "part" {
					again++
				}
			}
			if again > 2 {
				t.Errorf("%d of 3 parts were sent after there was a good login again", again)
			}
			w.ends()
		})
	})

	t.Run("revoked", func(t *testing.T) {
		atShop(t, newShop(t, srv), files, s3.Options{}, func(w *world, l *line) {
			w.know(files)
			w.holds("r", files["r"])
			w.list("")
			l.set(refuses("InvalidAccessKeyId", 403))
			since := time.Now()
			w.save("f", "text")
			w.until("the drive to say so", func() bool { return errors.Is(w.d.Status().Err, providers.ErrAuth) })
			w.holds("r", files["r"])
			err := patient(func(ctx context.Context) error {
				a, err := w.find(ctx, "unread")
				if err == nil {
					_, err = w.read(ctx, a.ID)
				}
				return err
			})
			if nfs.StatusOf(err) != nfs.ErrIO {
				t.Errorf("reading what is not here gives %v", err)
			}
			time.Sleep(time.Hour)
			if n := len(l.requests(since)); n > 80 {
				t.Errorf("a login that is refused was tried %d times in an hour", n)
			}
			l.set(nil)
			w.published()
			w.ends()
		})
	})

	t.Run("403 on one path", func(t *testing.T) {
		atShop(t, newShop(t, srv), files, s3.Options{}, func(w *world, l *line) {
			w.know(files)
			l.set(func(q *http.Request, next http.RoundTripper) (*http.Response, error) {
				if op, key := operation(q); op == "put" && strings.HasPrefix(key, "locked") {
					return refuses("AccessDenied", 403)(q, next)
				}
				return next.RoundTrip(q)
			})
			w.save("locked", "text")
			w.save("open", "text")
			w.until("one to be parked", func() bool { s := w.d.Status(); return s.Parked == 1 && s.Pending == 1 })
			w.save("later", "text")
			w.until("another one to be published", func() bool { return w.remoteTree()["later"] == "text" })
			if s := w.d.Status(); !s.Online {
				t.Errorf("for one file the drive counts as away: %v", s.Err)
			}
			parked := 0
			for _, e := range w.d.Ledger(10) {
				if e.State == drive.Parked && strings.TrimPrefix(e.Path, "/") == "locked" && errors.Is(e.Err, providers.ErrPermission) {
					parked++
				}
			}
			if parked != 1 {
				t.Errorf("the ledger does not tell what is parked, and why: %+v", w.d.Ledger(10))
			}
			w.holds("locked", "text")
			w.holds("unread", files["unread"])
			l.set(nil)
			w.ends()
		})
	})
}
