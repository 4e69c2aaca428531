package doctor

import (
	"errors"
	"io/fs"
	"os"
)

// look is nil if f is as it must be. Folders of the profile are their owner's alone.
func (f folder) look() error {
	st, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errMissing
	case err != nil:
		return err
	case !st.IsDir():
		return errors.New("it is no folder")
	}
	return nil
}

// usable is nil if dir is there; only writing would tell more.
func usable(dir string) error {
	_, err := os.Stat(dir)
	return err
}
