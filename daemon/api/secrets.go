package api

// Secrets is where the passwords and tokens of drives are kept, and of which there are
// some. It never has one.
type Secrets struct {
	Keyring KeyringState    `json:"keyring"`
	File    SecretFileState `json:"file"`
	Problem *Problem        `json:"problem,omitempty"` // why the keyring cannot be used
	Kept    []KeptSecret    `json:"kept"`              // by drive, then id
}

// KeyringState is how the system's keyring is.
type KeyringState string

// The states of a keyring.
const (
	KeyringUsable KeyringState = "usable"
	KeyringLocked KeyringState = "locked" // until a person unlocks it
	KeyringSlow   KeyringState = "slow"   // it does not answer
	KeyringAbsent KeyringState = "absent" // there is none, or it fails
)

// SecretFileState is how the encrypted file is that takes the place of a keyring.
type SecretFileState string

// The states of the encrypted file.
const (
	SecretFileAbsent  SecretFileState = "absent"
	SecretFileLocked  SecretFileState = "locked" // until its passphrase is given, once for each run of the service
	SecretFileOpen    SecretFileState = "open"
	SecretFileDamaged SecretFileState = "damaged" // or of a later version
)

// KeptSecret is a secret that is kept.
type KeptSecret struct {
	ID    string `json:"id"`
	Drive string `json:"drive,omitempty"` // "": of a drive that is not known any more
	File  bool   `json:"file,omitempty"`  // in an encrypted file, else in the keyring
}

// UnlockSecrets opens the encrypted file with its passphrase. Without one the system
// is told to ask for the keyring's.
type UnlockSecrets struct {
	Passphrase string `json:"passphrase,omitempty"`
}

// SecretFile gives the encrypted file its passphrase. Old is the one it has, if it is
// there already.
type SecretFile struct {
	Passphrase string `json:"passphrase"`
	Old        string `json:"old,omitempty"`
}
