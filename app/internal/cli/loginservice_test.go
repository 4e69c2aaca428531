//go:build unix

package cli

import (
	"context"
	"reflect"
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

func TestServiceRunsTheServiceProgram(t *testing.T) {
	program := onPath(t, "mooraged")
	f := newFake(t)
	for _, args := range [][]string{{"install"}, {"uninstall"}, {"start"}, {"restart"}, {"stop"}, {"status"}, {"status", "--json=true"}} {
		args = append([]string{"service"}, args...)
		r := f.run(t, func(e *Env) {
			e.Start = func(context.Context) error { t.Errorf("%q started a service by itself", args); return nil }
		}, args...)
		if want := [][]string{append([]string{program}, args...)}; r.status != 0 || !reflect.DeepEqual(r.ran, want) {
			t.Errorf("%q: ran %q, %s", args, r.ran, r.err)
		}
	}
	if r := f.run(t, nil, "service", "enable"); r.status != api.ExitUsage {
		t.Errorf("a word that is none of its: status %d, %s", r.status, r.err)
	}
}
