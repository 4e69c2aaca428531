package doctor

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/crash"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/secrets"
)

// failed is c with what err says.
func failed(c api.Check, err error) api.Check {
	p := problem.Of(err, c.Name).Problem
	c.State, c.Detail, c.Remedy = api.CheckBad, p.What, p.Do
	if c.Remedy == "" {
		c.Remedy = "Look into the service's log, and report this."
	}
	return c
}

// mounting is what the system has for mounting.
func (d *Doctor) mounting(ctx context.Context) []api.Check {
	checks := d.o.Probe(ctx)
	for i := range checks {
		if checks[i].ID == "nfs-client" {
			offerClient(&checks[i])
		}
	}
	return checks
}

func (d *Doctor) config(_ context.Context, c *api.Check) {
	drives, warnings, err := d.o.Config.Load()
	switch {
	case err != nil:
		p := problem.Of(err, d.o.Config.Path()).Problem
		c.State, c.Detail, c.Remedy = api.CheckBad, p.What, p.Do
	case len(warnings) > 0:
		c.State, c.Detail, c.Remedy = api.CheckBad, warnings[0], "Correct or remove that line."
	default:
		c.Detail = fmt.Sprintf("%s, %s.", d.o.Config.Path(), count(len(drives), "drive"))
	}
}

// keyring: that there is none is to be known only; a drive that needs what would be in it
// says so itself.
func (d *Doctor) keyring(ctx context.Context, c *api.Check) {
	where, err := d.o.Keyring(ctx)
	if err == nil {
		c.Detail = where
		return
	}
	*c = failed(*c, err)
	if errors.Is(err, secrets.ErrNone) {
		c.State = api.CheckNote
	}
}

// lowSpace is how much a disk should have free, in bytes.
const lowSpace = 1 << 30

func space(c *api.Check, dir string) {
	at := dir
	free, err := freeSpace(at)
	for errors.Is(err, errNoDir) && filepath.Dir(at) != at { // made when it is needed
		at = filepath.Dir(at)
		free, err = freeSpace(at)
	}
	switch {
	case err != nil:
		c.State, c.Detail, c.Remedy = api.CheckBad, err.Error()+".", "Check the permissions of "+dir+"."
	case free < lowSpace:
		c.State, c.Detail, c.Remedy = api.CheckBad, fmt.Sprintf("The disk of %s has only %d MiB free.", dir, free>>20), "Free some space on that disk."
	default:
		c.Detail = fmt.Sprintf("The disk of %s has %d GiB free.", dir, free>>30)
	}
}

// git is for the sign-ins that it has stored.
func git(_ context.Context, c *api.Check) {
	p, err := exec.LookPath("git")
	if err != nil {
		c.State, c.Detail, c.Remedy = api.CheckNote, "It is not installed.", "Install git if you want sign-ins that it has stored (git credential) to be used."
		return
	}
	c.Detail = p
}

func (d *Doctor) login(_ context.Context, c *api.Check) {
	if d.o.Login == nil {
		c.State, c.Detail, c.Remedy = api.CheckNote, "Nothing here starts services at login.", "Start mooraged from your session's autostart, if drives are to be there at login."
		return
	}
	s, err := d.o.Login.Status()
	switch {
	case err != nil:
		c.State, c.Detail = api.CheckNote, "The system's service manager does not answer: "+err.Error()+"."
		c.Remedy = "Log in anew, or start mooraged yourself, if drives are to be there at login."
	case !s.AtLogin:
		c.State, c.Detail, c.Fix = api.CheckNote, "The service is started when it is first used.", fixLogin
		c.Remedy = "Run \"moorage service install\" if drives are to be there at login, and after a crash."
	default:
		c.Detail = fmt.Sprintf("The service is started at login, by %s%s.", s.Manager, lingers())
	}
}

func (d *Doctor) startAtLogin(context.Context) (string, error) {
	if err := d.o.Login.Install(); err != nil {
		return "", err
	}
	return "The service is started at each login from now on.", nil
}

// crashes tells of each report once.
func (d *Doctor) crashes(context.Context) []api.Check {
	c := api.Check{ID: "crashes", Name: "crashes", State: api.CheckOK, Detail: "None that is new."}
	news, err := crash.News(d.o.Places.Crashes())
	switch {
	case err != nil:
		c = failed(c, err)
	case len(news) > 0:
		c.State = api.CheckNote
		c.Detail = fmt.Sprintf("%s crashed on %s: %s", news[0].Program, news[0].Time.Local().Format("2006-01-02 15:04"), news[0].Path)
		if len(news) > 1 {
			c.Detail += fmt.Sprintf(", and %d more", len(news)-1)
		}
		c.Remedy = "Report it with that file, please; there are no passwords in it. This is said once."
	}
	return []api.Check{c}
}

// count is "1 drive" or "2 drives".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// list joins names as a sentence does.
func list(words []string) string { return strings.Join(words, ", ") }
