package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/moorage/moorage/daemon/api"
)

// DoctorHere has the service's program look at this computer without a service, and with
// fix do what is safe about what it finds.
func DoctorHere(ctx context.Context, fix bool) (checks []api.Check, err error) {
	args := []string{"doctor"}
	if fix {
		args = append(args, "--fix")
	}
	return checks, ask(ctx, &checks, args...)
}

// AtLogin tells whether the system can start the service at each login, and whether it
// does.
func AtLogin(ctx context.Context) (can, on bool, err error) {
	var s struct {
		AtLogin bool   `json:"at_login"`
		Manager string `json:"manager"`
	}
	err = ask(ctx, &s, "service", "status", "--json")
	return s.Manager != "", s.AtLogin, err
}

// SetAtLogin has the system start the service at each login, or no more.
func SetAtLogin(ctx context.Context, on bool) error {
	verb := "uninstall"
	if on {
		verb = "install"
	}
	return ask(ctx, nil, "service", verb)
}

// ask runs mooraged and decodes what it prints into out, unless that is nil.
func ask(ctx context.Context, out any, args ...string) error {
	program, err := Mooraged()
	if err != nil {
		return err
	}
	said := strings.Join(args, " ")
	b, err := exec.CommandContext(ctx, program, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%s %s: %w: %s", program, said, err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return fmt.Errorf("run %s %s: %w", program, said, err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("read what %s %s says: %w", program, said, err)
	}
	return nil
}
