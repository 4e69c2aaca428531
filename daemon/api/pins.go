package api

import "time"

// PinState is how far a pin is.
type PinState string

// The states of a pin.
const (
	PinFetching PinState = "fetching" // more of it is on its way
	PinKept     PinState = "kept"     // all of it is on this computer
	PinOffline  PinState = "offline"  // the rest comes when the remote answers again
	PinNoRoom   PinState = "no-room"  // the rest does not fit on this computer
	PinFailed   PinState = "failed"   // some of it cannot be had; it is tried again
)

// Pin is a file or folder of a drive that is kept on this computer, with all below
// it. It stays pinned when it is renamed.
type Pin struct {
	Path    string    `json:"path"` // on the drive, without leading slash; "": all of it
	Folder  bool      `json:"folder"`
	State   PinState  `json:"state"`
	Here    int64     `json:"here"`  // bytes on this computer, of Total
	Total   int64     `json:"total"` // bytes, as far as is known
	Files   int64     `json:"files"`
	Since   time.Time `json:"since"` // when it was pinned
	Problem *Problem  `json:"problem,omitempty"`
}

// PinPath names what is to be pinned, or not any more.
type PinPath struct {
	Path string `json:"path"` // on the drive; "": all of it
}
