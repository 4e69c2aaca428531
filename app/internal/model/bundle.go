package model

import (
	"archive/zip"
	"fmt"
	"io"
	"time"
)

// Bundle is what somebody who looks into a fault needs to know. Its files have
// no secrets in them, and are shown to the person before they go anywhere.
type Bundle struct {
	Made  time.Time
	Files []BundleFile
}

// BundleFile is one of its texts.
type BundleFile struct {
	Name string
	Text string
}

// Name is what its file is called unless the person calls it otherwise.
func (b Bundle) Name() string { return "moorage-" + b.Made.Format("20060102-150405") + ".zip" }

// Zip writes it as a ZIP archive.
func (b Bundle) Zip(w io.Writer) error {
	z := zip.NewWriter(w)
	for _, f := range b.Files {
		part, err := z.CreateHeader(&zip.FileHeader{Name: f.Name, Method: zip.Deflate, Modified: b.Made})
		if err == nil {
			_, err = io.WriteString(part, f.Text)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", f.Name, err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	return nil
}
