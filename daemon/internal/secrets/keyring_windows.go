package secrets

import (
	"errors"

	"golang.org/x/sys/windows"
)

// limit is CRED_MAX_CREDENTIAL_BLOB_SIZE.
const limit = 5 * 512

// kindOf tells what a session without a credential set, as a service has one, means.
func kindOf(err error) error {
	if errors.Is(err, windows.ERROR_NO_SUCH_LOGON_SESSION) {
		return ErrNone
	}
	return nil
}
