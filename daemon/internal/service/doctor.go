package service

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/problem"
)

// doctor looks at everything that drives need of this computer.
func (s *Service) doctor(ctx context.Context) []api.Check {
	checks := s.o.Probe(ctx)
	return append(checks, s.checkConfig(), s.checkKeyring(ctx), s.checkSpace(), checkGit())
}

func (s *Service) checkConfig() api.Check {
	c := api.Check{Name: "config file"}
	drives, warnings, err := s.conf.Load()
	switch {
	case err != nil:
		p := problem.Of(err, s.conf.Path()).Problem
		c.Detail, c.Remedy = p.What, p.Do
	case len(warnings) > 0:
		c.Detail, c.Remedy = warnings[0], "Correct or remove that line."
	default:
		c.OK, c.Detail = true, fmt.Sprintf("%s, %d drives", s.conf.Path(), len(drives))
	}
	return c
}

func (s *Service) checkKeyring(ctx context.Context) api.Check {
	c := api.Check{Name: "keyring"}
	st := s.o.Secrets.Status(ctx)
	switch {
	case st.Keyring == nil:
		c.OK, c.Detail = true, "passwords can be stored"
	case st.File == nil:
		c.OK, c.Detail = true, "passwords are stored in an encrypted file, without a keyring"
	default:
		p := problem.Of(st.Keyring, "the keyring").Problem
		c.Detail, c.Remedy = p.What, p.Do
	}
	return c
}

// lowSpace is how much the cache's disk should have free, in bytes.
const lowSpace = 1 << 30

func (s *Service) checkSpace() api.Check {
	c := api.Check{Name: "cache"}
	dir := s.o.Places.Cache
	free, err := freeSpace(dir)
	for errors.Is(err, errNoDir) && filepath.Dir(dir) != dir { // made when it is needed
		dir = filepath.Dir(dir)
		free, err = freeSpace(dir)
	}
	switch {
	case err != nil:
		c.Detail, c.Remedy = err.Error(), "Check the permissions of "+s.o.Places.Cache+"."
	case free < lowSpace:
		c.Detail, c.Remedy = fmt.Sprintf("%s: only %d MiB free", s.o.Places.Cache, free>>20), "Free some space on that disk."
	default:
		c.OK, c.Detail = true, fmt.Sprintf("%s: %d GiB free", s.o.Places.Cache, free>>30)
	}
	return c
}

func checkGit() api.Check {
	c := api.Check{Name: "git"}
	p, err := exec.LookPath("git")
	if err != nil {
		c.Detail, c.Remedy = "not found", "Install git if you want sign-ins that it has stored (git credential) to be used."
		return c
	}
	c.OK, c.Detail = true, p
	return c
}
