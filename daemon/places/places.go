// Package places knows where on each system Moorage keeps its files.
package places

import "path/filepath"

// Places are absolute paths; none of them needs to exist.
type Places struct {
	Config string // the config file
	State  string // folder: what must survive
	Cache  string // folder: what can be fetched again
	Log    string // the log file
	Mounts string // folder in which drives are mounted unless told otherwise
}

// Secrets is the folder that holds encrypted files of secrets.
func (p Places) Secrets() string { return filepath.Join(p.State, "secrets") }

// Drives is the folder that holds one state folder for each drive.
func (p Places) Drives() string { return filepath.Join(p.State, "drives") }

// Crashes is the folder of crash reports.
func (p Places) Crashes() string { return filepath.Join(p.State, "crashes") }
