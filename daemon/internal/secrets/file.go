package secrets

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/moorage/moorage/daemon/internal/diskfile"
)

// sealedFile is an encrypted file of secrets on disk. One process at a time may
// change it; others may read. Its methods may be called concurrently.
type sealedFile struct {
	path string
	rand io.Reader
	cost kdf

	saving sync.Mutex // one change of the file, or trial of a passphrase, at a time; before mu

	mu  sync.Mutex
	key []byte // of its secrets; nil: locked
}

// load reads the file: ErrNoFile, ErrDamaged or ErrVersion if that fails for a reason of its own.
func (f *sealedFile) load() (*box, error) {
	data, err := diskfile.Read(f.path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoFile
	}
	if err != nil {
		return nil, err
	}
	b, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, f.path)
	}
	return b, nil
}

// save writes the file, which nobody else may read, into a folder that is as private.
func (f *sealedFile) save(b *box) error {
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of secrets: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { // it may have been there
		return fmt.Errorf("make the folder of secrets private: %w", err)
	}
	return diskfile.Write(f.path, b.encode())
}

func (f *sealedFile) opened() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.key
}

func (f *sealedFile) open(key []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.key = key
}

// has reports whether the file has a secret of id. That needs no key.
func (f *sealedFile) has(id string) (bool, error) {
	b, err := f.load()
	if errors.Is(err, ErrNoFile) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, ok := b.find(id)
	return ok, nil
}

// get returns ErrNotFound if the file has no such secret, or there is no file.
func (f *sealedFile) get(id string) (string, error) {
	b, err := f.load()
	if errors.Is(err, ErrNoFile) {
		return "", ErrNotFound
	}
	if err != nil {
		return "", err
	}
	if _, ok := b.find(id); !ok {
		return "", ErrNotFound
	}
	key := f.opened()
	if key == nil {
		return "", ErrFileLocked
	}
	return b.get(key, id)
}

// set stores a secret; the file has to be there and open.
func (f *sealedFile) set(id, secret string) error {
	f.saving.Lock()
	defer f.saving.Unlock()
	b, err := f.load()
	if err != nil {
		return err
	}
	key := f.opened()
	if key == nil {
		return ErrFileLocked
	}
	if err := b.set(key, id, secret); err != nil {
		return err
	}
	return f.save(b)
}

// remove reports whether there was such a secret. It needs no key.
func (f *sealedFile) remove(id string) (bool, error) {
	f.saving.Lock()
	defer f.saving.Unlock()
	b, err := f.load()
	if errors.Is(err, ErrNoFile) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !b.remove(id) {
		return false, nil
	}
	return true, f.save(b)
}

func (f *sealedFile) ids() ([]string, error) {
	b, err := f.load()
	if errors.Is(err, ErrNoFile) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return b.ids(), nil
}

// create makes an empty file with a passphrase, and opens it.
func (f *sealedFile) create(passphrase string) error {
	if len(passphrase) < MinPassphrase {
		return ErrWeak
	}
	f.saving.Lock()
	defer f.saving.Unlock()
	if _, err := f.load(); !errors.Is(err, ErrNoFile) {
		return errors.Join(ErrFileExists, err)
	}
	b, key, err := newBox(f.rand, f.cost)
	if err != nil {
		return err
	}
	if err := f.lock(b, passphrase, key); err != nil {
		return err
	}
	f.open(key)
	return nil
}

// lock saves b with a passphrase.
func (f *sealedFile) lock(b *box, passphrase string, key []byte) error {
	b.kdf = f.cost
	if _, err := io.ReadFull(f.rand, b.salt[:]); err != nil {
		return fmt.Errorf("make a salt: %w", err)
	}
	b.lock(b.derive(passphrase), key)
	return f.save(b)
}

// unlock opens the file: ErrPassphrase if that is another one.
func (f *sealedFile) unlock(passphrase string) error {
	f.saving.Lock()
	defer f.saving.Unlock()
	_, key, err := f.try(passphrase)
	if err == nil {
		f.open(key)
	}
	return err
}

func (f *sealedFile) try(passphrase string) (*box, []byte, error) {
	b, err := f.load()
	if err != nil {
		return nil, nil, err
	}
	if !b.byPassphrase() {
		return nil, nil, fmt.Errorf("%w: %s has no passphrase", ErrDamaged, f.path)
	}
	key, err := b.unlock(b.derive(passphrase))
	return b, key, err
}

// change gives the file another passphrase, and opens it.
func (f *sealedFile) change(old, passphrase string) error {
	if len(passphrase) < MinPassphrase {
		return ErrWeak
	}
	f.saving.Lock()
	defer f.saving.Unlock()
	b, key, err := f.try(old)
	if err != nil {
		return err
	}
	if err := f.lock(b, passphrase, key); err != nil {
		return err
	}
	f.open(key)
	return nil
}

// createWith makes an empty file whose key is kept elsewhere, unless there is one.
// Both are then opened with fileKey.
func (f *sealedFile) createWith(fileKey []byte) error {
	f.saving.Lock()
	defer f.saving.Unlock()
	b, err := f.load()
	var key []byte
	switch {
	case err == nil:
		key, err = b.unlock(fileKey)
	case errors.Is(err, ErrNoFile):
		if b, key, err = newBox(f.rand, kdf{}); err == nil {
			b.lock(fileKey, key)
			err = f.save(b)
		}
	}
	if err == nil {
		f.open(key)
	}
	return err
}
