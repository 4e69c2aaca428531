package api

// Host is the only Host header that the service answers to: a browser that was
// led to the socket by a name of its own sends another one.
const Host = "moorage"

// The exit statuses of a command, for Error.Exit.
const (
	ExitFailed   = 1
	ExitUsage    = 2
	ExitNotFound = 3 // or nothing to do
	ExitMissing  = 4 // a needed part is missing; doctor says which
)

// The codes of problems. They are stable: programs may compare them.
const (
	CodeAuth        = "auth"           // the remote wants a sign-in, or refused the one it got
	CodeBadDir      = "bad-dir"        // the place of a drive cannot be used
	CodeBadName     = "bad-name"       // not a name for a drive
	CodeBadRequest  = "bad-request"    // a malformed or refused request
	CodeBadSetting  = "bad-setting"    // a setting of the service cannot be so
	CodeBadURL      = "bad-url"        // not a drive URL
	CodeBusy        = "busy"           // files of the drive are open
	CodeComing      = "coming"         // a kind of drive that this version cannot open yet
	CodeConflict    = "conflict"       // the remote has something else in its place
	CodeConfig      = "config"         // the config file cannot be read or written
	CodeDirMissing  = "dir-missing"    // the mount folder does not exist
	CodeDirMounted  = "dir-mounted"    // something is mounted there
	CodeDirNotDir   = "dir-not-dir"    // the mount folder is no folder
	CodeDirNotEmpty = "dir-not-empty"  // the mount folder has something in it
	CodeDisk        = "disk"           // this computer's disk fails
	CodeDiskFull    = "disk-full"      // this computer has no space left
	CodeExists      = "exists"         // there is a drive of that name
	CodeFileName    = "file-name"      // the remote cannot have a file of this name
	CodeHostKey     = "host-key"       // the server is not the one that is known
	CodeInternal    = "internal"       // none of the others
	CodeKeyring     = "keyring"        // no keyring that works
	CodeLocked      = "keyring-locked" // the keyring has to be unlocked by a person
	CodeLost        = "lost"           // a drive in memory ended with the service
	CodeMount       = "mount"          // the system would not mount
	CodeMounted     = "mounted"        // not while the drive is mounted
	CodeNoClient    = "no-client"      // this system has no NFS client
	CodeNoDrive     = "no-drive"       // no drive of that name
	CodeNoFile      = "no-file"        // no such file or folder on the drive
	CodeNoFolder    = "no-folder"      // the folder to be shown does not exist, or is none
	CodeNoRemote    = "no-remote"      // no such repository, or hidden from this login
	CodeNoRevision  = "no-revision"    // no such branch, tag or commit
	CodeNoSecret    = "no-secret"      // no password is kept for that
	CodeNotMounted  = "not-mounted"    // nothing to unmount
	CodeNotPinned   = "not-pinned"     // no pin to be taken away
	CodeOffline     = "offline"        // the remote cannot be reached
	CodePinRoom     = "pin-room"       // what is pinned does not fit on this computer
	CodePassphrase  = "passphrase"     // the file of secrets needs its passphrase, or got another one
	CodePaused      = "paused"         // transfers are paused
	CodePermission  = "permission"     // the remote or the disk forbids it
	CodePortTaken   = "port-taken"     // another program has the drive's port
	CodeRemoteFull  = "remote-full"    // the remote has no space left
	CodeRestart     = "restart"        // a new service did not start
	CodeRights      = "rights"         // mounting needs more rights
	CodeRunning     = "running"        // a service runs already
	CodeSecretFile  = "secret-file"    // the file of secrets is damaged, missing, or there already
	CodeSlowKeyring = "keyring-slow"   // the keyring does not answer
	CodeStopping    = "stopping"       // the service is about to end
	CodeTimeout     = "timeout"        // no answer in time
	CodeTooLarge    = "too-large"      // a file that the remote does not take
	CodeUnpublished = "unpublished"    // changes that are not on the remote would be lost
	CodeUnsupported = "unsupported"    // the remote has no such thing
)
