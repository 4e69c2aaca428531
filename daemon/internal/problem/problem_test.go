package problem

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/config"
	"github.com/moorage/moorage/daemon/internal/secrets"
	"github.com/moorage/moorage/providers"
)

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code string
		says string
	}{
		{fmt.Errorf("open git repository: %w: dial tcp: connection refused", providers.ErrOffline), api.CodeOffline, "u cannot be reached: dial tcp: connection refused."},
		{providers.ErrOffline, api.CodeOffline, "u cannot be reached."},
		{fmt.Errorf("ask h: %w (404); more", providers.ErrNoRemote), api.CodeNoRemote, "login may not see it."},
		{fmt.Errorf("store a secret: %w: there is no D-Bus session", secrets.ErrNone), api.CodeKeyring, "no keyring that works: there is no D-Bus session."},
		{fmt.Errorf("read: %w: dial", secrets.ErrNoBus), api.CodeKeyring, "no D-Bus"},
		{fmt.Errorf("read: %w", secrets.ErrNoProvider), api.CodeKeyring, "No program"},
		{fmt.Errorf("read: %w", secrets.ErrLocked), api.CodeLocked, "keyring is locked"},
		{fmt.Errorf("read: %w", secrets.ErrDismissed), api.CodeLocked, "prompt was closed"},
		{fmt.Errorf("read: %w", secrets.ErrTimeout), api.CodeSlowKeyring, "does not answer"},
		{secrets.ErrFileLocked, api.CodePassphrase, "locked"},
		{secrets.ErrPassphrase, api.CodePassphrase, "not the passphrase"},
		{fmt.Errorf("%w: /x/y", secrets.ErrDamaged), api.CodeSecretFile, "not as it was written: /x/y."},
		{fmt.Errorf("%w: say what you mean", providers.ErrURL), api.CodeBadURL, "Not a drive URL: say what you mean."},
		{&providers.ComingError{Kind: providers.KindS3}, api.CodeComing, "S3"},
		{&config.Error{Path: "/c", Line: 3, Column: 4, Text: "bad"}, api.CodeConfig, "/c, line 3, column 4: bad."},
		{fmt.Errorf("save: %w", &fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}), api.CodeDiskFull, "no space left for the files of the drive in /."},
		{fmt.Errorf("open the drive's state: %w: 0 MiB", syscall.ENOSPC), api.CodeDiskFull, "no space left for the files of the drive."},
		{fmt.Errorf("open: folder %q: %w", "sub", fs.ErrNotExist), api.CodeNoRemote, "u does not exist."},
		{&fs.PathError{Op: "open", Path: "/x", Err: fs.ErrNotExist}, api.CodePermission, "/x"},
		{errors.New("two\nlines" + strings.Repeat("x", 1000)), api.CodeInternal, "two lines"},
	} {
		e := Of(tt.err, "u")
		if e.Problem.Code != tt.code || !strings.Contains(e.Problem.What, tt.says) {
			t.Errorf("%v became %s: %q, want %s: %q", tt.err, e.Problem.Code, e.Problem.What, tt.code, tt.says)
		}
		if len(e.Problem.What) > 400 || strings.Contains(e.Problem.What, "\n") {
			t.Errorf("not one sentence: %q", e.Problem.What)
		}
		if again := Of(fmt.Errorf("wrapped: %w", e), "other"); again != e {
			t.Errorf("an explained error was explained again: %v", again)
		}
	}
}

func TestTransient(t *testing.T) {
	for err, want := range map[error]bool{
		providers.ErrOffline: true, &providers.RateLimitedError{}: true, providers.ErrAuth: false, providers.ErrNoRevision: false,
		Of(providers.ErrOffline, "u"): true, Of(providers.ErrAuth, "u"): false,
	} {
		if Transient(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}
