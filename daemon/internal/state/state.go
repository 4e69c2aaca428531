// Package state keeps what the service must know of a drive after it was
// killed: identity, keys, and which mount was made.
package state

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moorage/moorage/daemon/internal/diskfile"
)

// Version is the format that this package writes. It reads all from 1 on.
const Version = 1

// Drive is the content of a drive's state file.
type Drive struct {
	Version    int    `json:"version"`
	ID         string `json:"id"` // 16 hexadecimal digits, also the folder's name
	Name       string `json:"name"`
	URL        string `json:"url"` // without secret
	Dir        string `json:"dir,omitempty"`
	ReadOnly   bool   `json:"read_only,omitempty"`
	Remembered bool   `json:"remembered,omitempty"`
	Secret     bool   `json:"secret,omitempty"` // the keyring has one for it

	Key   []byte `json:"key"`            // 32 bytes: seals the NFS handles
	FSID  uint64 `json:"fsid"`           // file system id in attributes and handles
	Port  uint16 `json:"port,omitempty"` // of the NFS server; 0: none yet
	Mount *Mount `json:"mount,omitempty"`

	Cache string `json:"cache,omitempty"` // the folder in which its cache was made; "": that of the system
	// Back is the revision that was followed before the drive was moved to one that stays.
	Back *string `json:"back,omitempty"`

	// Unpublished is how many changes were not on the remote when the drive was
	// last unmounted. While there is a Mount it says nothing.
	Unpublished int `json:"unpublished,omitempty"`
}

// Mount is a mount that was begun and not seen to be gone.
type Mount struct {
	Dir      string `json:"dir"`
	Export   string `json:"export"`
	ReadOnly bool   `json:"read_only,omitempty"`
	Made     bool   `json:"made_dir,omitempty"` // Dir is ours to remove
	Held     bool   `json:"held,omitempty"`     // the mount helper has its listener
}

// KeySize is the length of Drive.Key in bytes.
const KeySize = 32

const (
	fileName = "drive.json"
	maxFile  = 64 << 10
)

// ErrFormat means that a state file cannot be read by this version.
var ErrFormat = errors.New("not a state file of this version")

// New makes the identity of a new drive with randomness from r.
func New(r io.Reader) (Drive, error) {
	d := Drive{Version: Version}
	var b [16]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return Drive{}, fmt.Errorf("make a drive's identity: %w", err)
	}
	d.ID = hex.EncodeToString(b[:8])
	d.FSID = binary.LittleEndian.Uint64(b[8:]) | 1 // 0 is no id
	return d, d.NewKey(r)
}

// NewKey replaces the key: handles that were given out before are void.
func (d *Drive) NewKey(r io.Reader) error {
	d.Key = make([]byte, KeySize)
	if _, err := io.ReadFull(r, d.Key); err != nil {
		return fmt.Errorf("make a drive's key: %w", err)
	}
	return nil
}

// ValidID tells whether id can be a drive's, and so a folder's name.
func ValidID(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == 8 && hex.EncodeToString(b) == id
}

// Store is the folder that holds a folder for each drive. Its methods may be
// called concurrently for different drives.
type Store struct{ root string }

// Open makes the folder if it is missing.
func Open(root string) (*Store, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	return &Store{root: root}, nil
}

// Dir is the folder of drive id, where its file system keeps its own state.
func (s *Store) Dir(id string) string { return filepath.Join(s.root, id) }

// Save writes d durably.
func (s *Store) Save(d Drive) error {
	if !ValidID(d.ID) {
		return fmt.Errorf("save a drive's state: %q is no id", d.ID)
	}
	d.Version = Version
	b, err := json.MarshalIndent(d, "", "\t")
	if err != nil {
		return fmt.Errorf("encode a drive's state: %w", err)
	}
	if err := os.MkdirAll(s.Dir(d.ID), 0o700); err != nil {
		return fmt.Errorf("make a drive's state folder: %w", err)
	}
	return diskfile.Write(filepath.Join(s.Dir(d.ID), fileName), append(b, '\n'))
}

// Load reads drive id: fs.ErrNotExist if there is none, ErrFormat if its file
// is damaged or of a later version.
func (s *Store) Load(id string) (Drive, error) {
	b, err := diskfile.Read(filepath.Join(s.Dir(id), fileName), maxFile)
	if err != nil {
		return Drive{}, err
	}
	d, err := decode(b)
	if err == nil && d.ID != id {
		err = fmt.Errorf("%w: it is of another drive", ErrFormat)
	}
	if err != nil {
		return Drive{}, fmt.Errorf("read the state of drive %s: %w", id, err)
	}
	return d, nil
}

func decode(b []byte) (Drive, error) {
	var d Drive
	if err := json.Unmarshal(b, &d); err != nil {
		return Drive{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if d.Version < 1 || d.Version > Version {
		return Drive{}, fmt.Errorf("%w: version %d", ErrFormat, d.Version)
	}
	if !ValidID(d.ID) || len(d.Key) != KeySize || d.FSID == 0 {
		return Drive{}, fmt.Errorf("%w: id, key or fsid is missing", ErrFormat)
	}
	return d, nil
}

// IDs lists the drives that have state.
func (s *Store) IDs() ([]string, error) {
	l, err := os.ReadDir(s.root)
	if err != nil {
		return nil, fmt.Errorf("list the state folder: %w", err)
	}
	var ids []string
	for _, e := range l {
		if e.IsDir() && ValidID(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// SetAside renames the damaged state file of drive id, so that a new one does
// not overwrite it, and returns its new name.
func (s *Store) SetAside(id string) (string, error) {
	p := filepath.Join(s.Dir(id), fileName)
	bad := p + ".damaged"
	if err := os.Rename(p, bad); err != nil {
		return "", fmt.Errorf("set a damaged state file aside: %w", err)
	}
	return bad, nil
}

// Remove forgets drive id.
func (s *Store) Remove(id string) error {
	if !ValidID(id) {
		return fmt.Errorf("remove a drive's state: %q is no id", id)
	}
	// The file goes first: a folder without it is no drive's any more.
	if err := os.Remove(filepath.Join(s.Dir(id), fileName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a drive's state: %w", err)
	}
	if err := os.RemoveAll(s.Dir(id)); err != nil {
		return fmt.Errorf("remove a drive's state: %w", err)
	}
	return nil
}

// NewToken makes a 128-bit token for an export path.
func NewToken(r io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}
