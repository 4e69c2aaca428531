package problem

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/providers"
)

// Every reason says what happened, what it means and what to do.
func TestUpload(t *testing.T) {
	const url = "s3://bucket"
	wrap := func(err error) error { return fmt.Errorf("publish \"plan\": put: %w: 403 from the gateway", err) }
	for name, tt := range map[string]struct {
		err   error
		state api.UploadState
		code  string
		says  string
	}{
		"permission":  {wrap(providers.ErrPermission), api.UploadParked, api.CodePermission, "does not let this login change a/plan: 403"},
		"full":        {wrap(providers.ErrFull), api.UploadParked, api.CodeRemoteFull, "no space left for a/plan"},
		"large":       {wrap(providers.ErrTooLarge), api.UploadParked, api.CodeTooLarge, "a/plan is larger than s3://bucket takes"},
		"unsupported": {wrap(providers.ErrUnsupported), api.UploadParked, api.CodeUnsupported, "cannot do what was done to a/plan"},
		"name":        {wrap(fs.ErrInvalid), api.UploadParked, api.CodeFileName, "s3://bucket cannot have anything named a/plan: 403"},
		"auth":        {wrap(providers.ErrAuth), api.UploadParked, api.CodeAuth, "wants a sign-in"},
		"base gone":   {wrap(providers.ErrChanged), api.UploadParked, api.CodeConflict, "the rest of it was replaced"},
		"no bucket":   {wrap(providers.ErrNoRemote), api.UploadParked, api.CodeNoRemote, "nothing at s3://bucket"},
		"unknown":     {errors.New("boom"), api.UploadParked, api.CodeInternal, "boom"},
		"offline":     {wrap(providers.ErrOffline), api.UploadSaved, api.CodeOffline, "cannot be reached"},
		"busy":        {&providers.RateLimitedError{}, api.UploadRunning, api.CodeOffline, "fewer requests"},
		"conflict":    {nil, api.UploadConflict, api.CodeConflict, "it is a/plan now"},
	} {
		p := Upload(tt.err, tt.state, "a/plan", "b", url)
		if p == nil || p.Code != tt.code || !strings.Contains(p.What, tt.says) {
			t.Errorf("%s: %+v", name, p)
			continue
		}
		for _, s := range []string{p.What, p.Means, p.Do} {
			if s == "" || strings.ToUpper(s[:1]) != s[:1] && !strings.HasPrefix(s, "a/plan") && !strings.HasPrefix(s, url) {
				t.Errorf("%s: %q is no sentence", name, s)
			}
		}
		if tt.state == api.UploadParked && !strings.Contains(p.Do, "moorage sync b") {
			t.Errorf("%s: do %q", name, p.Do)
		}
	}
	if p := Upload(nil, api.UploadSaved, "a", "b", url); p != nil {
		t.Errorf("of what just waits: %+v", p)
	}
}
