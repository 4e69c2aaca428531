package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
	"github.com/moorage/moorage/daemon/internal/config"
	"github.com/moorage/moorage/daemon/internal/doctor"
	"github.com/moorage/moorage/daemon/internal/service"
	"github.com/moorage/moorage/daemon/places"
	"github.com/moorage/moorage/mounter"
)

// doctorCommand is what "moorage doctor" runs where no service can be started.
func doctorCommand() *cobra.Command {
	var fix bool
	c := &cobra.Command{
		Use:    "doctor",
		Short:  "Look at this computer without a service, and print a JSON list of checks",
		Hidden: true,
		Args:   usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := places.Default()
			if err != nil {
				return err
			}
			socket, err := client.DefaultSocket()
			if err != nil {
				return err
			}
			log := slog.New(slog.DiscardHandler)
			m := newMounter(log)
			store := newSecrets(p)
			defer store.Close()
			d := doctor.New(doctor.Options{
				Places: p, Socket: socket, Config: config.New(p.Config), Keyring: service.Keyring(store), Login: loginOrNone(), Logger: log,
				Probe: probe(m), Table: service.Table(m), Unmount: func(ctx context.Context, dir string) error { return m.Unmount(ctx, dir, true) },
			})
			var checks []api.Check
			if fix {
				checks = d.Treat(c.Context(), nil)
			} else {
				checks = d.Examine(c.Context())
			}
			return json.NewEncoder(c.OutOrStdout()).Encode(checks)
		},
	}
	c.Flags().BoolVar(&fix, "fix", false, "do what is safe about what is found")
	return c
}

// loginOrNone is nil where nobody starts services at login.
func loginOrNone() doctor.Login {
	l, err := login()
	if err != nil {
		return nil
	}
	return l
}

// prober knows what the system has for mounting.
type prober interface {
	Probe(ctx context.Context) []mounter.Check
}

// probe gives what m finds as checks.
func probe(m prober) func(ctx context.Context) []api.Check {
	return func(ctx context.Context) []api.Check {
		var all []api.Check
		for _, c := range m.Probe(ctx) {
			state := api.CheckOK
			if !c.OK {
				state = api.CheckBad
			}
			all = append(all, api.Check{ID: strings.NewReplacer(" ", "-", ".", "-").Replace(c.Name), Name: c.Name, State: state, Detail: c.Detail, Remedy: c.Remedy})
		}
		return all
	}
}

// listCommand is the child of listByChild.
func listCommand() *cobra.Command {
	var read bool
	c := &cobra.Command{
		Use:    "list DIR",
		Short:  "List a folder, for the doctor",
		Hidden: true,
		Args:   usageArgs(cobra.ExactArgs(1)),
		RunE:   func(_ *cobra.Command, args []string) error { return listAt(args[0], read) },
	}
	c.Flags().BoolVar(&read, "read", false, "read from a file, too")
	return c
}

// The doctor looks at so much of a folder.
const (
	listNames = 100
	listBytes = 4 << 10
)

// listAt lists the beginning of dir and, with read, reads the beginning of a file there.
func listAt(dir string, read bool) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(listNames)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for _, n := range names {
		p := filepath.Join(dir, n)
		st, err := os.Lstat(p)
		if errors.Is(err, os.ErrNotExist) {
			continue // gone meanwhile
		}
		if err != nil {
			return err
		}
		if !read || !st.Mode().IsRegular() || st.Size() == 0 {
			continue
		}
		file, err := os.Open(p)
		if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = io.ReadFull(file, make([]byte, min(listBytes, st.Size())))
		file.Close()
		return err
	}
	return nil
}

// killed is how long a child may take to die: it may hang in the file system, where it can
// be killed.
const killed = 2 * time.Second

// listByChild looks at dir in a process that can be killed when it hangs. This one could
// not: it would keep a thread, and the drive busy.
func listByChild(ctx context.Context, dir string, read bool) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"list", dir}
	if read {
		args = append(args, "--read")
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Dir = filepath.VolumeName(self) + string(filepath.Separator)
	cmd.WaitDelay = killed
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(strings.TrimPrefix(said.String(), "mooraged:")); text != "" {
			return errors.New(text)
		}
		return fmt.Errorf("list %s: %w", dir, err)
	}
	return nil
}
