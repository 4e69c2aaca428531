package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/daemon/internal/service"
	"github.com/moorage/moorage/providers"
)

var _ service.Prospects = kinds(nil)

// Describe implements service.Prospects.
func (k kinds) Describe(raw string, with map[string]string) (api.Description, error) {
	u, secret, err := providers.ParseURL(raw)
	if err != nil {
		return api.Description{Kind: providers.GuessKind(raw)}, err
	}
	d := api.Description{URL: u.String(), Kind: u.Kind, Name: u.DefaultName(), Secret: secret}
	of := k[u.Kind]
	if of.open == nil {
		return d, &providers.ComingError{Kind: u.Kind}
	}
	if of.form == nil {
		return d, nil
	}
	form := of.form(u)
	if err := fill(&u, form, with); err != nil {
		return api.Description{Kind: u.Kind}, err
	}
	form = of.form(u)
	d.URL, d.Name, d.ReadOnly = u.String(), u.DefaultName(), form.ReadOnly
	if s := form.SignIn; s != nil {
		d.SignIn = &api.SignIn{Secret: field(s.Secret), Page: s.Page}
		if s.User != nil {
			user := field(*s.User)
			d.SignIn.User = &user
		}
	}
	for _, f := range form.Fields {
		d.Fields = append(d.Fields, field(f))
	}
	return d, nil
}

// fill puts what a person has said into u.
func fill(u *providers.URL, form providers.Form, with map[string]string) error {
	fields := form.Fields
	if form.SignIn != nil && form.SignIn.User != nil {
		fields = append(slices.Clone(fields), *form.SignIn.User)
	}
	for _, f := range fields {
		if v, ok := with[f.Name]; ok && v != f.Value {
			f.Set(u, v)
		}
	}
	again, secret, err := providers.ParseURL(u.String())
	if err == nil && (again.Kind != u.Kind || again.Host != u.Host || secret != "") {
		err = fmt.Errorf("%w: what was put in makes it another one", providers.ErrURL)
	}
	if err == nil {
		*u = again
	}
	return err
}

func field(f providers.Field) api.Field {
	return api.Field{Name: f.Name, Kind: api.FieldKind(f.Kind), Label: f.Label, Help: f.Help, Default: f.Default, Required: f.Required, Choices: f.Choices, Value: f.Value}
}

// Look implements service.Prospects.
func (k kinds) Look(ctx context.Context, r mounts.Request, most int) (api.Tried, error) {
	u, of, err := k.find(r.URL)
	if err != nil {
		return api.Tried{}, err
	}
	return of.look(ctx, u, r, most)
}

func lookMem(context.Context, providers.URL, mounts.Request, int) (api.Tried, error) {
	return api.Tried{Entries: []api.TriedEntry{}, Writable: true}, nil
}

func lookFolder(ctx context.Context, u providers.URL, _ mounts.Request, most int) (api.Tried, error) {
	t := tally{most: most}
	f, err := os.Open(u.Path)
	if err != nil {
		return api.Tried{}, folderProblem(u, err)
	}
	defer f.Close()
	for !t.full() && err == nil && ctx.Err() == nil {
		var entries []os.DirEntry
		entries, err = f.ReadDir(chunk)
		for _, e := range entries {
			size := int64(-1)
			if i, err := e.Info(); err == nil {
				size = i.Size()
			}
			t.add(api.TriedEntry{Name: e.Name(), Folder: e.IsDir(), Size: size})
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return api.Tried{}, folderProblem(u, err)
	}
	out := t.sum(!errors.Is(err, io.EOF))
	out.Writable = writable(u.Path)
	return out, ctx.Err()
}

// chunk is how many entries of a folder are read at a time.
const chunk = 500

// lookRemote opens a provider and lists its root.
func lookRemote(open connectFunc) lookFunc {
	return func(ctx context.Context, u providers.URL, r mounts.Request, most int) (api.Tried, error) {
		p, err := open(ctx, u, r)
		if err != nil {
			return api.Tried{}, err
		}
		out, err := list(ctx, p, most)
		return out, errors.Join(err, p.Close())
	}
}

func list(ctx context.Context, p providers.Provider, most int) (api.Tried, error) {
	t := tally{most: most}
	cursor := ""
	for {
		page, err := p.ReadDir(ctx, "", cursor)
		if err != nil {
			return api.Tried{}, err
		}
		for _, e := range page.Entries {
			t.add(api.TriedEntry{Name: e.Name, Folder: e.Mode.IsDir(), Size: e.Size})
		}
		if cursor = page.Next; cursor == "" || t.full() {
			break
		}
	}
	out := t.sum(cursor != "")
	out.Writable = p.Info().Writable
	if v, ok := p.(providers.Prober); ok && most > 1 {
		rev, err := v.Probe(ctx)
		if err != nil {
			return api.Tried{}, err
		}
		out.Revision = string(rev)
	}
	return out, nil
}

// tally counts a listing.
type tally struct {
	most    int
	entries []api.TriedEntry
}

func (t *tally) full() bool { return len(t.entries) >= t.most }

func (t *tally) add(e api.TriedEntry) { t.entries = append(t.entries, e) }

// sum is what was counted; more says that there is more.
func (t *tally) sum(more bool) api.Tried {
	out := api.Tried{More: more, Entries: []api.TriedEntry{}}
	for _, e := range t.entries {
		if e.Folder {
			out.Folders++
		} else {
			out.Files++
		}
	}
	slices.SortFunc(t.entries, func(a, b api.TriedEntry) int {
		if a.Folder != b.Folder {
			if a.Folder {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	out.Entries = append(out.Entries, t.entries[:min(len(t.entries), service.TriedNames)]...)
	return out
}
