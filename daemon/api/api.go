// Package api holds what the service and its clients say to each other: JSON
// over HTTP/1.1 on a unix socket (a named pipe on Windows). It does no I/O.
//
//	GET    /v1/service                 Service
//	GET    /v1/drives                  []Drive, ordered by name
//	POST   /v1/drives                  AddDrive → Drive
//	GET    /v1/drives/{name}           Drive
//	PATCH  /v1/drives/{name}           EditDrive → Drive
//	DELETE /v1/drives/{name}           unmounts and forgets, its secret too; ?discard=true: with changes that are not published
//	POST   /v1/drives/{name}/mount     MountDrive → Drive
//	POST   /v1/drives/{name}/unmount   UnmountDrive → Drive
//	POST   /v1/drives/{name}/sync      SyncDrive → Synced
//	GET    /v1/drives/{name}/uploads   []Upload, what waits first; ?limit=N: so many at most (100)
//	GET    /v1/drives/{name}/pins      []Pin, by path
//	POST   /v1/drives/{name}/pin       PinPath → Pin, when it is stored and not when all is here
//	POST   /v1/drives/{name}/unpin     PinPath
//	GET    /v1/drives/{name}/revisions Revisions: branches and tags; ?find=TEXT: those with it; ?commits=true, ?at=TIME (RFC 3339): commits of ?of=REVISION; ?page=NEXT
//	PUT    /v1/drives/{name}/secret    Secret
//	GET    /v1/settings                Settings
//	PATCH  /v1/settings                EditSettings → Settings
//	POST   /v1/pause                   PauseTransfers → Service
//	POST   /v1/resume                  → Service
//	POST   /v1/describe                Describe → Description, at once
//	POST   /v1/try                     Try → Tried, within 20 seconds; called off when the client goes away
//	GET    /v1/found                   []Found, the nearest at hand first
//	GET    /v1/secrets                 Secrets
//	POST   /v1/secrets/unlock          UnlockSecrets, answered when the person has; drives that wait are tried again
//	POST   /v1/secrets/file            SecretFile: makes it
//	PUT    /v1/secrets/file            SecretFile: another passphrase
//	DELETE /v1/secrets/{id}            takes one away
//	GET    /v1/events                  one Event a line, for ever; begins with the service and the present drives, then "ready"
//	GET    /v1/doctor                  []Check
//	POST   /v1/doctor                  Treat → []Check, of afterwards
//	POST   /v1/restart                 RestartService
//	POST   /v1/stop                    StopService
//
// A failure is an Error with a status of 4xx or 5xx. Drives are addressed by
// name; where a path is given it is percent-encoded.
package api

import "time"

// State is where a drive is in its life.
type State string

// The states of a drive.
const (
	Stopped    State = "stopped"    // not mounted, and not meant to be
	Connecting State = "connecting" // on its way to Mounted
	Mounted    State = "mounted"
	Degraded   State = "degraded"  // mounted, but the remote is slow or away: cached data only
	NeedsYou   State = "needs-you" // waits for a person: Problem says for what
	Failed     State = "error"     // not mounted; Problem says why
)

// Problem is something a person should know. The three texts are sentences.
type Problem struct {
	Code  string    `json:"code"`            // stable, for programs: "auth", "offline", "no-revision", "dir-not-empty", …
	What  string    `json:"what"`            // what happened
	Means string    `json:"means,omitempty"` // what it means for the person
	Do    string    `json:"do,omitempty"`    // what to do
	Time  time.Time `json:"time,omitzero"`
}

// Drive is one drive as it is now.
type Drive struct {
	Name       string    `json:"name"`
	URL        string    `json:"url"`  // without any secret
	Kind       string    `json:"kind"` // "git", "folder", "mem", …
	Dir        string    `json:"dir"`  // where it is or will be mounted
	ReadOnly   bool      `json:"read_only"`
	Auto       bool      `json:"auto"`       // mounted when the service starts
	Remembered bool      `json:"remembered"` // in the config; else it goes when it is unmounted
	State      State     `json:"state"`
	Step       string    `json:"step,omitempty"`     // of Connecting: "sign-in", "list", "mount"; "wait" while the remote is away
	Since      time.Time `json:"since"`              // of State
	Revision   string    `json:"revision,omitempty"` // of the remote as it is shown now, by the remote's own id
	Shown      *Shown    `json:"shown,omitempty"`    // nil: the remote has no history
	Address    string    `json:"address,omitempty"`  // of its NFS server, while there is one
	Cache      Cache     `json:"cache"`
	Pending    Pending   `json:"pending"`
	Traffic    Traffic   `json:"traffic"`
	Problem    *Problem  `json:"problem,omitempty"`
	Uploads    []Upload  `json:"uploads,omitempty"` // at most 100, what waits first; this, Pins and Calls only in the answer to GET /v1/drives/{name}
	Pins       []Pin     `json:"pins,omitempty"`    // what is kept on this computer, by path
	Calls      []Calls   `json:"calls,omitempty"`   // since it was mounted
}

// Calls counts the calls of one NFS procedure that a drive's server answered.
type Calls struct {
	Procedure string        `json:"procedure"` // as in RFC 1813: "READDIRPLUS", "MOUNT MNT"; "unknown" for what is none
	Calls     uint64        `json:"calls"`
	Failed    uint64        `json:"failed"`   // answered with an NFS error; "no such file" is one
	Refused   uint64        `json:"refused"`  // not understood
	Received  uint64        `json:"received"` // bytes of calls
	Sent      uint64        `json:"sent"`     // bytes of replies
	P50       time.Duration `json:"p50_ns"`   // half of them were answered in this time, estimated
	P90       time.Duration `json:"p90_ns"`
	P99       time.Duration `json:"p99_ns"`
	Slowest   time.Duration `json:"slowest_ns"`
}

// Cache is what a drive keeps on this computer, in bytes.
type Cache struct {
	Used  int64 `json:"used"`
	Limit int64 `json:"limit"` // 0: none
}

// AddDrive asks for a new drive.
type AddDrive struct {
	URL      string `json:"url"`            // a password in it moves to the keyring
	Name     string `json:"name,omitempty"` // "": from the URL, made unique
	Dir      string `json:"dir,omitempty"`  // "": the default place
	ReadOnly bool   `json:"read_only,omitempty"`
	Auto     bool   `json:"auto,omitempty"`
	Remember bool   `json:"remember,omitempty"` // false: forgotten when unmounted
	Secret   string `json:"secret,omitempty"`   // goes to the keyring

	// Beside names a drive, and URL is empty: the new one shows Revision of the same remote,
	// with the same secret, and cannot be changed.
	Beside   string `json:"beside,omitempty"`
	Revision string `json:"revision,omitempty"`
}

// EditDrive changes the fields that are not nil; Name, Dir and ReadOnly only while the
// drive is not mounted. With Revision it is answered when that is shown, by a mounted drive
// with the mount that it has.
type EditDrive struct {
	Name     *string `json:"name,omitempty"`
	Dir      *string `json:"dir,omitempty"`
	ReadOnly *bool   `json:"read_only,omitempty"`
	Auto     *bool   `json:"auto,omitempty"`
	Revision *string `json:"revision,omitempty"` // "": the default branch
}

// MountDrive asks for a drive to be mounted; Wait answers when it is, or when
// it failed.
type MountDrive struct {
	Wait bool `json:"wait,omitempty"`
}

// UnmountDrive asks for a drive to be unmounted; Force takes it away from
// programs that have files open.
type UnmountDrive struct {
	Force bool `json:"force,omitempty"`
	Wait  bool `json:"wait,omitempty"`
}

// StopService ends the service. With Unmount all drives are unmounted first,
// else they wait for the next service.
type StopService struct {
	Unmount bool `json:"unmount,omitempty"`
}

// RestartService has a new service take the place of the one that runs; drives stay
// mounted. If it does not start, the one that runs goes on, and says so in
// Service.Restart.
type RestartService struct {
	Program string `json:"program,omitempty"` // an absolute path; "": where the one that runs was started from
}

// Secret is a password or token for a drive; "" takes it away.
type Secret struct {
	Secret string `json:"secret"`
}

// Service describes the running service.
type Service struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Problem *Problem  `json:"problem,omitempty"` // why no drive can be used, such as a damaged config file
	Restart *Problem  `json:"restart,omitempty"` // why the last RestartService brought no new service
	Paused  *Pause    `json:"paused,omitempty"`  // nil: transfers are not paused
}

// EventKind says what an Event is about.
type EventKind string

// The kinds of events.
const (
	DriveChanged EventKind = "drive"   // Drive is new or not what it was
	DriveRemoved EventKind = "removed" // only Drive.Name is set
	Ready        EventKind = "ready"   // all present drives have been told

	ServiceChanged EventKind = "service" // Service is not what it was
)

// Event is one line of the event stream.
type Event struct {
	Seq   uint64    `json:"seq"`
	Kind  EventKind `json:"kind"`
	Drive *Drive    `json:"drive,omitempty"`

	Service *Service `json:"service,omitempty"`
}

// CheckState is how a check came out.
type CheckState string

// The states of a check.
const (
	CheckOK   CheckState = "ok"
	CheckNote CheckState = "note" // drives work; something could be better, or is to be known
	CheckBad  CheckState = "bad"  // something must be done: Remedy says what
)

// Check is one line of the doctor's report. The texts are sentences, or a few words.
type Check struct {
	ID     string     `json:"id"` // stable, for programs: "nfs-client", "drive:NAME:mount", …
	Name   string     `json:"name"`
	State  CheckState `json:"state"`
	Detail string     `json:"detail"`
	Remedy string     `json:"remedy,omitempty"`
	Fix    string     `json:"fix,omitempty"`  // what Treat can be asked to do about it; "": a person has to
	Done   string     `json:"done,omitempty"` // what was just done about it, or why that failed
}

// Treat asks the doctor to do what it safely can about what it finds.
type Treat struct {
	Fixes []string `json:"fixes,omitempty"` // of Check.Fix; none: all that are found
}

// Error is the body of a failed request.
type Error struct {
	Problem Problem `json:"error"`
	Exit    int     `json:"exit"` // the exit status of a command that ends with it: 1, 2, 3 or 4
}

// Error says what happened and what to do.
func (e *Error) Error() string {
	s := e.Problem.What
	if e.Problem.Do != "" {
		s += " " + e.Problem.Do
	}
	return s
}
