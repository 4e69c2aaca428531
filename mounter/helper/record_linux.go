package helper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// FileID is a file of this computer until its next boot.
type FileID struct{ Dev, Ino uint64 }

// Record is what a restarted helper must know of a mount.
type Record struct {
	UID    uint32
	Drive  string
	Port   uint16
	Source string
	Parent FileID // of the folder that has the mount point
	Name   string // of the mount point in it; stays as long as it is one
}

// Records keeps the record of each mount in a folder that only root can enter, and
// that is empty after a boot.
type Records struct {
	Dir    string
	Logger *slog.Logger
}

const maxRecord = 16 << 10

func (s *Records) path(r Record) string {
	return filepath.Join(s.Dir, fmt.Sprintf("%d-%s.json", r.UID, r.Drive))
}

// Save writes r, so that it is there as a whole or not at all.
func (s *Records) Save(r Record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(s.Dir, "new-")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.path(r))
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// Remove forgets r.
func (s *Records) Remove(r Record) {
	if err := os.Remove(s.path(r)); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.Logger.Error("the record of a mount stays", "uid", r.UID, "drive", r.Drive, "err", err)
	}
}

// Load reads all records.
func (s *Records) Load() ([]Record, error) {
	files, err := os.ReadDir(s.Dir)
	if err != nil {
		return nil, err
	}
	var all []Record
	for _, f := range files {
		path := filepath.Join(s.Dir, f.Name())
		if !strings.HasSuffix(f.Name(), ".json") {
			os.Remove(path) // what a killed Save left
			continue
		}
		r, err := readRecord(path)
		if err != nil || s.path(r) != path {
			s.Logger.Error("the record of a mount cannot be read", "path", path, "err", err)
			continue
		}
		all = append(all, r)
	}
	return all, nil
}

func readRecord(path string) (Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return Record{}, err
	}
	defer f.Close()
	var r Record
	err = json.NewDecoder(io.LimitReader(f, maxRecord)).Decode(&r)
	return r, err
}
