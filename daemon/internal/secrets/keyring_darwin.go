package secrets

import (
	"errors"
	"os/exec"
)

// limit is what the command line that go-keyring gives to security(1) has room
// for: 4096 bytes, of which a secret in base64 may take this.
const limit = 2900

// The exit statuses of security(1) are the lowest bytes of OSStatus.
const (
	statusNotAllowed = 36  // errSecInteractionNotAllowed, -25308
	statusAuth       = 51  // errSecAuthFailed, -25293
	statusCanceled   = 128 // errSecUserCanceled, -128
)

func kindOf(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return nil
	}
	switch exit.ExitCode() {
	case statusNotAllowed, statusAuth:
		return ErrLocked
	case statusCanceled:
		return ErrDismissed
	}
	return nil
}
