package api

import "time"

// Pending is what was changed on a drive and is not on its remote yet. A drive
// that is not mounted tells what it keeps for the next time.
type Pending struct {
	Files  int   `json:"files"`  // changes: files, folders, links, removals
	Bytes  int64 `json:"bytes"`  // that are kept on this computer for them
	Parked int   `json:"parked"` // of Files, those that are not tried again until a person has done something
}

// Traffic is what went between a drive and its remote since it was mounted, in bytes.
type Traffic struct {
	Fetched   int64 `json:"fetched"`
	Published int64 `json:"published"`
}

// UploadState is what became of a change.
type UploadState string

// The states of a change.
const (
	UploadSaved    UploadState = "saved"     // on this computer's disk, and waits
	UploadRunning  UploadState = "uploading" // on its way
	UploadDone     UploadState = "uploaded"  // on the remote
	UploadConflict UploadState = "conflict"  // kept under another name, since the remote had something else in its place
	UploadParked   UploadState = "parked"    // not tried again until a person has done what Problem says
)

// Upload is one change of a drive: what waits, or ended lately. A drive's
// DriveChanged follows when its uploads have changed, a few times a second at most.
type Upload struct {
	Path    string      `json:"path"` // on the drive, without leading slash; of a conflict, that of the copy
	State   UploadState `json:"state"`
	Removed bool        `json:"removed,omitempty"` // the change is a removal
	Problem *Problem    `json:"problem,omitempty"` // why it is where it is
	Since   time.Time   `json:"since"`             // when it was made; of UploadDone and UploadConflict, when that was so
	Done    int64       `json:"done"`              // bytes sent of Total
	Total   int64       `json:"total"`             // bytes; 0: not known
}

// Waits reports whether the change is not on the remote yet.
func (u Upload) Waits() bool { return u.State != UploadDone && u.State != UploadConflict }

// SyncDrive asks for what was changed to be published now, also what is parked.
// Wait answers when all of it is on the remote or parked; the publishing goes on
// when the caller goes away.
type SyncDrive struct {
	Wait bool `json:"wait,omitempty"`
}

// Synced is what became of a SyncDrive.
type Synced struct {
	Pending Pending  `json:"pending"`          // what is not on the remote yet
	Failed  []Upload `json:"failed,omitempty"` // what could not be published, at most 1000; only with Wait
}
