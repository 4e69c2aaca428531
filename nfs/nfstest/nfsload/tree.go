package main

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// prepare makes the folder that servers serve, as far as it is not there.
func prepare(folder string, z sizes, p *pattern) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	big := filepath.Join(folder, bigName)
	if info, err := os.Stat(big); err != nil || info.Size() != int64(z.Big) {
		if err := writeBig(big, z, p); err != nil {
			return err
		}
	}
	for _, d := range []struct {
		name, format string
		n            int
	}{{filesName, filesFormat, z.Files}, {manyName, manyFormat, z.Many}} {
		dir := filepath.Join(folder, d.name)
		if have, err := os.ReadDir(dir); err == nil && len(have) == d.n {
			continue
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		for i := range d.n {
			f, err := os.Create(filepath.Join(dir, string(appendName(nil, d.format, i))))
			if err != nil {
				return err
			}
			if err := f.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeBig(path string, z sizes, p *pattern) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	for off := 0; off < z.Big; off += z.Block {
		if _, err := w.Write(p.at(off, 0, z.Block)); err != nil {
			return err
		}
	}
	return w.Flush()
}
