package problem

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/providers"
)

// Upload explains why the change at path of a drive is in state s: because of
// err, if that is not nil. There is nothing to explain of what just waits or is
// done.
func Upload(err error, s api.UploadState, path, name, url string) *api.Problem {
	if s == api.UploadConflict {
		return &api.Problem{Code: api.CodeConflict, What: fmt.Sprintf("Something else had been put in the place of this change on %s; it is %s now.", url, path),
			Means: "Both are kept: the remote's under the old name, yours under the new one.",
			Do:    "Compare the two, keep what you need, and remove the other."}
	}
	if err == nil {
		return nil
	}
	if s != api.UploadParked {
		p := Of(err, url).Problem
		p.Means = "The change is safe on this computer meanwhile."
		p.Do = "Nothing: it is tried again by itself."
		return &p
	}
	p := parked(err, path, url)
	p.Means = "The change is kept on this computer, and is not tried again by itself."
	p.Do += fmt.Sprintf(" Then: moorage sync %s", name)
	return p
}

// parked says why a change waits for a person, and what that one can do first.
func parked(err error, path, url string) *api.Problem {
	switch {
	case errors.Is(err, providers.ErrPermission):
		return &api.Problem{Code: api.CodePermission, What: fmt.Sprintf("%s does not let this login change %s%s.", url, path, because(err, providers.ErrPermission)),
			Do: "Get the right to write there, or sign in as somebody who has it."}
	case errors.Is(err, providers.ErrTooLarge):
		return &api.Problem{Code: api.CodeTooLarge, What: fmt.Sprintf("%s is larger than %s takes%s.", path, url, because(err, providers.ErrTooLarge)),
			Do: "Make it smaller, or move it to another drive."}
	case errors.Is(err, providers.ErrFull):
		return &api.Problem{Code: api.CodeRemoteFull, What: fmt.Sprintf("%s has no space left for %s%s.", url, path, because(err, providers.ErrFull)),
			Do: "Free some space there, or get more."}
	case errors.Is(err, providers.ErrUnsupported):
		return &api.Problem{Code: api.CodeUnsupported, What: fmt.Sprintf("%s cannot do what was done to %s%s.", url, path, because(err, providers.ErrUnsupported)),
			Do: "Undo it, or do it in another way."}
	case errors.Is(err, fs.ErrInvalid):
		return &api.Problem{Code: api.CodeFileName, What: fmt.Sprintf("%s cannot have anything named %s%s.", url, path, because(err, fs.ErrInvalid)),
			Do: "Give it another name."}
	case errors.Is(err, providers.ErrAuth):
		return &api.Problem{Code: api.CodeAuth, What: fmt.Sprintf("%s wants a sign-in, or refused the one it got%s.", url, because(err, providers.ErrAuth)),
			Do: "Store a password or token for the drive."}
	case errors.Is(err, providers.ErrChanged), errors.Is(err, providers.ErrNotExist):
		return &api.Problem{Code: api.CodeConflict, What: fmt.Sprintf("%s was changed here in part, and the rest of it was replaced on %s before it was fetched.", path, url),
			Do: "Save it anew as a whole, or put the old version back on the remote."}
	}
	p := Of(err, url).Problem
	if p.Do == "" {
		p.Do = "See to that."
	}
	return &p
}
