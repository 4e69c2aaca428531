//go:build !linux && !darwin && !windows

package mounter

import "context"

func (m *Mounter) mount(_ context.Context, s Spec) error {
	return &Error{Op: "mount", Dir: s.Dir, Kind: ErrUnsupported, What: "Moorage cannot mount on this system yet.",
		Do: "Serve the drive and mount it by hand: moorage serve URL."}
}

func (m *Mounter) unmount(_ context.Context, dir string, _ bool) error { return notMounted(dir) }

func (m *Mounter) discard(string) error { return nil }

func listMounts() ([]Mount, error) { return nil, nil }

func probe(context.Context) []Check {
	return []Check{{Name: "nfs client", Detail: "Moorage cannot mount on this system yet.", Remedy: "Serve drives and mount them by hand: moorage serve URL."}}
}
