package mounter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/moorage/moorage/mounter/helper/protocol"
)

// helperPlaces is where the mount helper may be: where a package puts it, and beside
// this program.
func helperPlaces() []string {
	places := []string{"/usr/libexec/moorage-mount-helper"}
	if self, err := os.Executable(); err == nil {
		places = append(places, filepath.Join(filepath.Dir(self), "moorage-mount-helper"))
	}
	return places
}

// patience is how long a person may take to type an administrator's password.
func patience() time.Duration {
	if MayMount() {
		return 0
	}
	return 2 * time.Minute
}

// asRoot has the mount helper do q as root: by pkexec, which asks a person, or by a
// sudo that asks nobody. It is for where the helper is no service of the system.
func (m *Mounter) asRoot(ctx context.Context, op, dir string, q protocol.Request) error {
	what, do := rightsText()
	no := &Error{Op: op, Dir: dir, Kind: ErrPermission, What: what, Do: do}
	helper := ""
	for _, p := range helperPlaces() {
		if fi, err := os.Stat(p); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			helper = p
			break
		}
	}
	if os.Geteuid() == 0 || helper == "" {
		return no
	}
	in, err := json.Marshal(q)
	if err != nil {
		return err
	}
	for _, by := range [][]string{{"pkexec", "--disable-internal-agent"}, {"sudo", "-n", "--"}} {
		path, err := exec.LookPath(by[0])
		if err != nil {
			continue
		}
		c := command{path: path, args: append(by[1:len(by):len(by)], helper, "once"), in: in}
		said, status, err := m.run(ctx, c)
		if err != nil {
			return err
		}
		var a protocol.Answer
		if status != 0 || json.Unmarshal([]byte(said), &a) != nil {
			m.log().Info("not let mount", "by", by[0], "status", status, "said", said)
			no.Err = errors.Join(no.Err, fmt.Errorf("%s: %s (status %d)", by[0], said, status))
			continue
		}
		if a.Kind == "" {
			return nil
		}
		return FromHelper(ctx, op, dir, &protocol.Error{Kind: a.Kind, What: a.What})
	}
	return no
}

// FromHelper is what the mount helper said, as an *Error.
func FromHelper(ctx context.Context, op, dir string, err error) error {
	var p *protocol.Error
	if !errors.As(err, &p) {
		return fmt.Errorf("%s %s: %w", op, dir, err)
	}
	e := &Error{Op: op, Dir: dir, What: p.What, Err: p.Err}
	switch p.Kind {
	case protocol.Denied:
		e.Kind, e.Do = ErrPermission, "Mount from the session that is in front of the screen, or have an administrator type the password."
	case protocol.BadDir:
		e.Kind, e.Do = ErrDir, "Choose an empty folder of your own."
	case protocol.NotMounted:
		e.Kind = ErrNotMounted
	case protocol.Busy:
		e.Kind, e.Do = ErrBusy, "Close them, or try again."
		if op == "unmount" {
			sayBusy(ctx, e)
		}
	case protocol.Timeout:
		e.Kind, e.Do = ErrTimeout, "Try again."
	case protocol.Unsupported:
		e.Kind, e.Do = ErrUnsupported, noClientRemedy
	default:
		e.Kind, e.Do = ErrRefused, "Try again; the system's log (journalctl -u moorage-mount-helper) may say more."
	}
	return e
}
