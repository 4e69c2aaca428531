package problem

import (
	"errors"
	"fmt"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/secrets"
)

// What a person does about a secret that cannot be read.
const (
	noSecrets  = "Passwords of drives can be neither read nor stored meanwhile."
	makeFile   = "Start one, such as gnome-keyring, KWallet or KeePassXC. Or have Moorage keep passwords in an encrypted file: moorage secrets create."
	restByWait = "Drives that wait for it come up by themselves then."
)

// secret explains why a secret cannot be read or stored; nil if err is about
// something else.
func secret(err error, _ string) *api.Error {
	switch {
	case errors.Is(err, secrets.ErrDismissed):
		return New(api.ExitFailed, api.CodeLocked, "The keyring stays locked: its prompt was closed, or there was no screen to show it on.", noSecrets,
			"Unlock it: moorage secrets unlock, or the desktop's own program for passwords. "+restByWait)
	case errors.Is(err, secrets.ErrLocked):
		return New(api.ExitFailed, api.CodeLocked, "The keyring is locked.", noSecrets,
			"Unlock it: moorage secrets unlock, or the desktop's own program for passwords. "+restByWait)
	case errors.Is(err, secrets.ErrTimeout):
		return New(api.ExitFailed, api.CodeSlowKeyring, "The keyring does not answer.", noSecrets,
			"See whether it asks something behind another window. If not, end its program (gnome-keyring-daemon, kwalletd, KeePassXC); it starts again. "+restByWait)
	case errors.Is(err, secrets.ErrNoBus):
		return New(api.ExitMissing, api.CodeKeyring, "This session has no D-Bus, so there can be no keyring.", noSecrets,
			"Log in with a desktop, or have Moorage keep passwords in an encrypted file: moorage secrets create.")
	case errors.Is(err, secrets.ErrNoProvider):
		return New(api.ExitMissing, api.CodeKeyring, "No program of this session keeps passwords.", noSecrets, makeFile)
	case errors.Is(err, secrets.ErrNone):
		return New(api.ExitMissing, api.CodeKeyring, "This session has no keyring that works"+because(err, secrets.ErrNone)+".", noSecrets, makeFile)
	case errors.Is(err, secrets.ErrTooBig):
		return New(api.ExitUsage, api.CodeSecretFile, fmt.Sprintf("The secret is longer than the %d KiB that are kept.", secrets.MaxSecret>>10), "It was not stored.", "Use a shorter token.")
	case errors.Is(err, secrets.ErrFileLocked):
		return New(api.ExitFailed, api.CodePassphrase, "The encrypted file of passwords is locked.", noSecrets,
			"Give its passphrase: moorage secrets unlock. "+restByWait)
	case errors.Is(err, secrets.ErrPassphrase):
		return New(api.ExitFailed, api.CodePassphrase, "That is not the passphrase of the encrypted file of passwords.", "The file is as it was.",
			"Try again. Without its passphrase nobody can read it.")
	case errors.Is(err, secrets.ErrWeak):
		return New(api.ExitUsage, api.CodePassphrase, fmt.Sprintf("A passphrase has %d characters at least.", secrets.MinPassphrase), "Nothing was changed.",
			"Take several words: whoever gets the file can try as many as she likes.")
	case errors.Is(err, secrets.ErrDamaged):
		return New(api.ExitFailed, api.CodeSecretFile, "The encrypted file of passwords is not as it was written"+because(err, secrets.ErrDamaged)+".",
			"What was in it is lost, unless you have a copy of the file.", "Put a copy back, or move the file away and store the passwords again: moorage edit NAME --secret.")
	case errors.Is(err, secrets.ErrVersion):
		return New(api.ExitFailed, api.CodeSecretFile, "The encrypted file of passwords was written by a later version of Moorage"+because(err, secrets.ErrVersion)+".",
			"This version cannot read it, and leaves it as it is.", "Use that version.")
	case errors.Is(err, secrets.ErrFileExists):
		return New(api.ExitFailed, api.CodeSecretFile, "There is an encrypted file of passwords already.", "It was not touched.",
			"Unlock it: moorage secrets unlock. Another passphrase: moorage secrets passphrase.")
	case errors.Is(err, secrets.ErrNoFile):
		return New(api.ExitNotFound, api.CodeSecretFile, "There is no encrypted file of passwords.", "", "Make one: moorage secrets create.")
	case errors.Is(err, secrets.ErrNotFound):
		return New(api.ExitNotFound, api.CodeNoSecret, "No password is kept for that.", "", "See moorage secrets for what is kept.")
	}
	return nil
}
