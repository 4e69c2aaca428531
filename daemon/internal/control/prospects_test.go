package control

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
)

// fakeProspects repeats what it was asked; the real ones need remotes.
type fakeProspects struct{ off chan struct{} }

func (fakeProspects) Describe(_ context.Context, d api.Describe) (api.Description, error) {
	return api.Description{URL: d.URL, Fields: []api.Field{{Name: "region", Kind: api.FieldText, Value: d.With["region"]}}}, nil
}

// Try of "hangs" goes on until it is called off.
func (f fakeProspects) Try(ctx context.Context, t api.Try) (api.Tried, error) {
	if t.URL == "hangs" {
		<-ctx.Done()
		close(f.off)
		return api.Tried{}, ctx.Err()
	}
	if t.Secret != "hush" {
		return api.Tried{}, &api.Error{Exit: api.ExitFailed, Problem: api.Problem{Code: api.CodeAuth, What: "Who are you?"}}
	}
	return api.Tried{Entries: []api.TriedEntry{{Name: t.URL, Size: -1}}, Files: 1}, nil
}

func (fakeProspects) Found(context.Context) []api.Found {
	return []api.Found{{Kind: "s3", Name: "work", URL: "s3://?profile=work", Gap: 5}}
}

func TestProspects(t *testing.T) {
	w := start(t)
	if d, err := w.client.Describe(t.Context(), api.Describe{URL: "s3://b", With: map[string]string{"region": "auto"}}); err != nil || d.URL != "s3://b" || d.Fields[0].Value != "auto" {
		t.Errorf("described as %+v, %v", d, err)
	}
	if l, err := w.client.Try(t.Context(), api.Try{URL: "u", Secret: "hush"}); err != nil || l.Files != 1 || l.Entries[0].Name != "u" {
		t.Errorf("tried: %+v, %v", l, err)
	}
	var e *api.Error
	if _, err := w.client.Try(t.Context(), api.Try{URL: "u"}); !errors.As(err, &e) || e.Problem.Code != api.CodeAuth {
		t.Errorf("tried without a secret: %v", err)
	}
	if l, err := w.client.Found(t.Context()); err != nil || len(l) != 1 || l[0].Gap != 5 {
		t.Errorf("found %+v, %v", l, err)
	}
}

func TestTryIsCalledOffWithItsRequest(t *testing.T) {
	w := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := w.client.Try(ctx, api.Try{URL: "hangs"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("tried: %v", err)
	}
	select {
	case <-w.prospects.off:
	case <-time.After(30 * time.Second):
		t.Error("it goes on although nobody waits for it")
	}
}
