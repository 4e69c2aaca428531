package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/object"
	"github.com/moorage/moorage/providers/git/internal/pack"
	"github.com/moorage/moorage/providers/git/internal/pktline"
)

// answers is a transport that says the same whatever it is asked.
type answers struct {
	advert, answer []byte
	request        []byte // the last
}

func (a *answers) Advertise(context.Context) ([]byte, error) { return a.advert, nil }
func (a *answers) Close() error                              { return nil }
func (a *answers) Call(_ context.Context, request []byte) (Reply, error) {
	a.request = request
	return reply{bytes.NewReader(a.answer)}, nil
}

type reply struct{ io.Reader }

func (reply) Close(bool) {}

// nowhere is a sink that takes nothing.
type nowhere struct{}

func (nowhere) NewBlob(int64) (pack.BlobWriter, error)   { return nil, providers.ErrFull }
func (nowhere) Put(object.Type, object.ID, []byte) error { return nil }
func (nowhere) Base(object.ID) (pack.Base, error)        { return nil, pack.ErrNotFound }
func (nowhere) Spool() (pack.Spool, error)               { return nil, providers.ErrFull }
func lines(s ...string) (b []byte) {
	for _, l := range s {
		b = pktline.Append(b, l)
	}
	return pktline.AppendFlush(b)
}

const id1, id2 = "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"

func TestRefs(t *testing.T) {
	a := &answers{
		advert: lines("version 2\n", "agent=x\n", "ls-refs=unborn\n", "fetch=shallow filter\n", "object-format=sha1\n", "object-info\n"),
		answer: lines(id1+" HEAD symref-target:refs/heads/main\n", id1+" refs/heads/main\n", id1+" refs/tags/v1 peeled:"+id2+"\n", "unborn refs/heads/none\n", id1+" other\n"),
	}
	c, err := Connect(t.Context(), a)
	if err != nil || c.Version() != 2 || !c.CanFilter() || !c.CanSize() || !c.CanWantAny() || c.Format() != object.SHA1 {
		t.Fatalf("%+v, %v", c, err)
	}
	refs, err := c.Refs(t.Context(), "HEAD", "refs/")
	if err != nil || len(refs) != 3 || refs[0].Target != "refs/heads/main" || refs[2].Peeled.String() != id2 {
		t.Errorf("%+v, %v", refs, err)
	}
	a.advert = lines(id1+" HEAD\x00side-band-64k ofs-delta shallow symref=HEAD:refs/heads/main allow-reachable-sha1-in-want", id1+" refs/heads/main", id1+" refs/tags/v1", id2+" refs/tags/v1^{}", "shallow "+id1)
	if c, err = Connect(t.Context(), a); err != nil || c.Version() != 0 || c.CanFilter() || c.CanSize() || !c.CanWantAny() {
		t.Fatalf("%+v, %v", c, err)
	}
	refs, err = c.Refs(t.Context(), "HEAD", "refs/tags/")
	if err != nil || len(refs) != 2 || refs[0].Target != "refs/heads/main" || refs[1].Peeled.String() != id2 {
		t.Errorf("%+v, %v", refs, err)
	}
}

func FuzzClient(f *testing.F) {
	two := lines("version 2\n", "fetch=shallow filter\n", "object-info\n")
	f.Add(two, lines(id1+" HEAD symref-target:refs/heads/main\n", id1+" refs/tags/v1 peeled:"+id2+"\n"))
	f.Add(two, lines("size", id1+" 77"))
	f.Add(two, append([]byte("000dpackfile\n"), "0025\x01PACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e0000"...))
	f.Add(lines(id1+" HEAD\x00side-band-64k ofs-delta shallow"), []byte("000cshallow 0000"+"0008NAK\n"))
	f.Fuzz(func(t *testing.T, advert, answer []byte) {
		known := func(err error) {
			var remote *pktline.RemoteError
			for _, e := range []error{nil, providers.ErrOffline, providers.ErrProtocol, providers.ErrUnsupported, providers.ErrFull} {
				if errors.Is(err, e) {
					return
				}
			}
			if !errors.As(err, &remote) {
				t.Fatalf("an error of no class: %v", err)
			}
		}
		ctx := t.Context()
		c, err := Connect(ctx, &answers{advert: advert, answer: answer})
		known(err)
		if err != nil {
			return
		}
		id, _ := object.ParseID(id1)
		_, err = c.Refs(ctx, "refs/", "HEAD")
		known(err)
		if c.CanSize() {
			_, err = c.Sizes(ctx, []object.ID{id})
			known(err)
		}
		lim := pack.Limits{Objects: 10, Object: 1 << 16, Blob: 1 << 16, Total: 1 << 17, Depth: 5, Spool: 1 << 16}
		known(c.Fetch(ctx, FetchRequest{Wants: []object.ID{id}, Depth: 1}, lim, nowhere{}, nil))
	})
}
