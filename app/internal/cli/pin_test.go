//go:build unix

package cli

import (
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

func TestPin(t *testing.T) {
	d := api.Drive{Name: "bucket", URL: "s3://bucket", Kind: "s3", Dir: "/home/u/Moorage/bucket", State: api.Mounted}
	gone := &api.Error{Exit: api.ExitNotFound, Problem: api.Problem{Code: api.CodeNotPinned, What: "a is not pinned."}}
	for name, c := range map[string]struct {
		args   []string
		state  api.PinState
		err    *api.Error
		status int
		asked  string
		out    string
		said   string
	}{
		"begins":     {[]string{"pin", "bucket", "./a/b/"}, api.PinFetching, nil, 0, "pin a/b", "a/b is pinned; see how far it is with moorage status bucket", ""},
		"all":        {[]string{"pin", "bucket"}, api.PinKept, nil, 0, "pin ", "bucket is pinned, and all of it is here", ""},
		"unpin":      {[]string{"unpin", "bucket", "a"}, "", nil, 0, "unpin a", "a is not pinned any more", ""},
		"not pinned": {[]string{"unpin", "bucket", "a"}, "", gone, api.ExitNotFound, "unpin a", "", "a is not pinned."},
		"usage":      {[]string{"pin"}, "", nil, api.ExitUsage, "", "", "moorage pin notes drafts"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, d)
			asked := ""
			f.pin = func(verb, path string) (api.Pin, *api.Error) {
				asked = verb + " " + path
				return api.Pin{Path: path, State: c.state}, c.err
			}
			r := f.run(t, nil, c.args...)
			if r.status != c.status || asked != c.asked || !strings.Contains(r.out, c.out) || !strings.Contains(r.err, c.said) {
				t.Errorf("status %d, asked %q, printed %q, said %q", r.status, asked, r.out, r.err)
			}
		})
	}
}

func TestStatusPins(t *testing.T) {
	at := since.Local().Format("2006-01-02 15:04:05")
	f := newFake(t, api.Drive{Name: "bucket", URL: "s3://bucket", Kind: "s3", Dir: "/home/u/Moorage/bucket", State: api.Mounted, Pins: []api.Pin{
		{State: api.PinFetching, Folder: true, Here: 1 << 20, Total: 4 << 20, Files: 7, Since: since},
		{Path: "big", State: api.PinNoRoom, Here: 1 << 20, Total: 1 << 30, Files: 1, Since: since, Problem: &api.Problem{Code: api.CodePinRoom,
			What: "big does not fit on this computer.", Means: "The rest waits.", Do: "Free some space."}},
		{Path: "small", State: api.PinKept, Here: 5, Total: 5, Files: 1, Since: since},
	}})
	r := f.run(t, nil, "status", "bucket")
	want := `
PINNED  STATE         HERE     OF       FILES  SINCE
(all)   fetching 25%  1.0 MiB  4.0 MiB  7      ` + at + `
big     no room       1.0 MiB  1.0 GiB  1      ` + at + `
small   here          5 B      5 B      1      ` + at + `

big: big does not fit on this computer. The rest waits.
  Free some space.
`
	if r.status != 0 || !strings.HasSuffix(r.out, want) {
		t.Errorf("status %d\n got:\n%s\nwant at the end:\n%s", r.status, r.out, want)
	}
}
