// Package secrets keeps the passwords and tokens of drives: in the keyring of the
// operating system, and in an encrypted file what that does not take, or where
// there is none. Read it in this order: keyring.go has what a keyring is and how
// one that hangs is lived with, keyring_*.go those of the systems, file.go the
// encrypted file, format.go its bytes, store.go what goes where.
package secrets

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound means that there is no secret for this drive.
	ErrNotFound = errors.New("no secret stored")
	// ErrTooBig means that a secret is longer than MaxSecret.
	ErrTooBig = errors.New("the secret is too long")

	// ErrNone means that this system or session has no keyring that works.
	ErrNone = errors.New("no keyring")
	// ErrNoBus is an ErrNone: there is no session bus on which one could be.
	ErrNoBus = fmt.Errorf("%w: this session has no D-Bus", ErrNone)
	// ErrNoProvider is an ErrNone: there is a session bus, and no program on it keeps secrets.
	ErrNoProvider = fmt.Errorf("%w: no program of this session keeps secrets", ErrNone)
	// ErrLocked means that the keyring has to be unlocked by a person.
	ErrLocked = errors.New("the keyring is locked")
	// ErrDismissed is an ErrLocked: its prompt was closed without an answer.
	ErrDismissed = fmt.Errorf("%w: its prompt was dismissed", ErrLocked)
	// ErrTimeout means that the keyring does not answer.
	ErrTimeout = errors.New("the keyring does not answer")

	// ErrFileLocked means that the passphrase of the encrypted file was not given
	// since the service started.
	ErrFileLocked = errors.New("the encrypted file is locked")
	// ErrPassphrase means that a passphrase is not that of the file.
	ErrPassphrase = errors.New("not the passphrase of the encrypted file")
	// ErrWeak means that a new passphrase is too short.
	ErrWeak = errors.New("the passphrase is too short")
	// ErrNoFile means that there is no encrypted file.
	ErrNoFile = errors.New("there is no encrypted file")
	// ErrFileExists means that there is an encrypted file already.
	ErrFileExists = errors.New("there is an encrypted file already")
	// ErrDamaged means that an encrypted file is not as it was written.
	ErrDamaged = errors.New("the encrypted file is damaged")
	// ErrVersion means that an encrypted file is of a later version.
	ErrVersion = errors.New("the encrypted file is of a later version")
)

const (
	// MaxSecret bounds a secret, in bytes.
	MaxSecret = 32 << 10
	// MinPassphrase is how many bytes a new passphrase has at least.
	MinPassphrase = 8
)

// Unreachable reports whether err says that a secret cannot be read now, and
// perhaps can later without anybody doing anything here: the keyring is unlocked by
// the desktop, or starts.
func Unreachable(err error) bool {
	if errors.Is(err, ErrDismissed) {
		return false
	}
	return errors.Is(err, ErrLocked) || errors.Is(err, ErrTimeout) || errors.Is(err, ErrNone) || errors.Is(err, ErrFileLocked)
}
