package secrets

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"
)

// Store keeps secrets. A secret goes to the keyring; one that is too long for it to
// a file whose key is in the keyring; and where no keyring can be used, to a file with
// a passphrase, if the person has made one. Its methods may be called concurrently;
// they return when ctx is done, and in any case within the time-out.
type Store struct {
	keyring *guarded
	large   *sealedFile // its key is in the keyring
	file    *sealedFile // with a passphrase
	rand    io.Reader
}

// Options are what a Store works with. All are needed.
type Options struct {
	Keyring Keyring
	Dir     string        // for the encrypted files; made when it is needed
	Timeout time.Duration // of a call to the keyring
	Rand    io.Reader
}

// fileKeyID is the id in the keyring of the key of the file for what is too long.
const fileKeyID = "file-key"

// New makes a store. It does no I/O.
func New(o Options) *Store {
	return &Store{
		keyring: guard(o.Keyring, o.Timeout),
		large:   &sealedFile{path: filepath.Join(o.Dir, "keyring.sealed"), rand: o.Rand},
		file:    &sealedFile{path: filepath.Join(o.Dir, "passphrase.sealed"), rand: o.Rand, cost: cost},
		rand:    o.Rand,
	}
}

// Close ends calls to the keyring that are under way.
func (s *Store) Close() { s.keyring.close() }

// Get returns the secret of drive id.
func (s *Store) Get(ctx context.Context, id string) (string, error) {
	var bad error // of files; what they do not have may be in the keyring
	secret, err := s.file.get(id)
	switch {
	case err == nil || errors.Is(err, ErrFileLocked):
		return secret, err
	case !errors.Is(err, ErrNotFound):
		bad = err
	}
	in, err := s.large.has(id)
	switch {
	case err != nil:
		bad = errors.Join(bad, err)
	case in:
		if err := s.openLarge(ctx); err != nil {
			return "", err
		}
		return s.large.get(id)
	}
	secret, err = s.keyring.get(ctx, id)
	if err != nil && bad != nil {
		return "", bad
	}
	return secret, err
}

// Set stores the secret of drive id.
func (s *Store) Set(ctx context.Context, id, secret string) error {
	if len(secret) > MaxSecret {
		return ErrTooBig
	}
	var err error
	kept := s.file // where it is now, if anywhere but in the keyring
	if len(secret) <= s.keyring.k.Limit() {
		if err = s.keyring.set(ctx, id, secret); err == nil {
			kept = nil
		}
	} else if err = s.openLarge(ctx); err == nil {
		if err := s.large.set(id, secret); err != nil {
			return err
		}
		kept = s.large
	}
	if err != nil {
		if !errors.Is(err, ErrNone) && !errors.Is(err, ErrLocked) && !errors.Is(err, ErrTimeout) {
			return err
		}
		ferr := s.file.set(id, secret)
		if errors.Is(ferr, ErrNoFile) {
			return err
		}
		if ferr != nil {
			return ferr
		}
	}
	for _, f := range []*sealedFile{s.large, s.file} { // an older one would be found first
		if f == kept {
			continue
		}
		if _, err := f.remove(id); err != nil {
			return err
		}
	}
	return nil
}

// Delete takes the secret of drive id away, if there is one.
func (s *Store) Delete(ctx context.Context, id string) error {
	inLarge, err1 := s.large.remove(id)
	inFile, err2 := s.file.remove(id)
	err := s.keyring.delete(ctx, id)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrNone) && (inLarge || inFile) {
		err = nil
	}
	return errors.Join(err1, err2, err)
}

// openLarge makes the file for what is too long usable. Its key is made once.
func (s *Store) openLarge(ctx context.Context) error {
	if s.large.opened() != nil {
		if _, err := s.large.load(); !errors.Is(err, ErrNoFile) {
			return err
		}
	}
	text, err := s.keyring.get(ctx, fileKeyID)
	if errors.Is(err, ErrNotFound) {
		key := make([]byte, keySize)
		if _, err := io.ReadFull(s.rand, key); err != nil {
			return fmt.Errorf("make a key: %w", err)
		}
		text = hex.EncodeToString(key)
		err = s.keyring.set(ctx, fileKeyID, text)
	}
	if err != nil {
		return err
	}
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != keySize {
		return fmt.Errorf("%w: its key in the keyring is none", ErrDamaged)
	}
	err = s.large.createWith(key)
	if errors.Is(err, ErrPassphrase) {
		return fmt.Errorf("%w: its key in the keyring is that of another one", ErrDamaged)
	}
	return err
}

// Kept is a secret that the store has.
type Kept struct {
	ID   string
	File bool // in an encrypted file, else in the keyring
}

// Status is how a store is.
type Status struct {
	Keyring error // why the keyring cannot be used; nil: it can
	File    error // why the file with a passphrase cannot be used: ErrNoFile, ErrFileLocked, ErrDamaged, …; nil: it can
	Kept    []Kept
	Listed  bool // Kept has also what is in the keyring
}

// Status looks at the keyring and the files.
func (s *Store) Status(ctx context.Context) Status {
	var st Status
	st.Keyring = s.keyring.check(ctx)
	for _, f := range []*sealedFile{s.file, s.large} {
		ids, err := f.ids()
		for _, id := range ids {
			st.Kept = append(st.Kept, Kept{ID: id, File: true})
		}
		if err != nil {
			st.File = errors.Join(st.File, err)
		}
	}
	if st.File == nil {
		if _, err := s.file.load(); err != nil {
			st.File = err
		} else if s.file.opened() == nil {
			st.File = ErrFileLocked
		}
	}
	if st.Keyring == nil || errors.Is(st.Keyring, ErrLocked) {
		l, err := s.keyring.list(ctx)
		st.Listed = err == nil
		for _, id := range l {
			if id != fileKeyID && !slices.ContainsFunc(st.Kept, func(k Kept) bool { return k.ID == id }) {
				st.Kept = append(st.Kept, Kept{ID: id})
			}
		}
	}
	return st
}

// Watch calls changed when secrets of the keyring may have come within reach, or out of
// it, until ctx is done; errors.ErrUnsupported if the system does not tell.
func (s *Store) Watch(ctx context.Context, changed func()) error {
	if w, ok := s.keyring.k.(watcher); ok {
		return w.Watch(ctx, changed)
	}
	return errors.ErrUnsupported
}

// UnlockKeyring has the system ask the person for the keyring's password, until she
// has answered or ctx is done.
func (s *Store) UnlockKeyring(ctx context.Context) error { return s.keyring.unlock(ctx) }

// UnlockFile opens the file with its passphrase, until the process ends.
func (s *Store) UnlockFile(passphrase string) error { return s.file.unlock(passphrase) }

// CreateFile makes the file with a passphrase, and opens it.
func (s *Store) CreateFile(passphrase string) error { return s.file.create(passphrase) }

// ChangePassphrase gives the file another passphrase, and opens it.
func (s *Store) ChangePassphrase(old, passphrase string) error {
	return s.file.change(old, passphrase)
}
