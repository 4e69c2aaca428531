package api

import "time"

// Settings are those of the service, as they are in use.
type Settings struct {
	CacheDir     string `json:"cache_dir"`     // the folder of what is fetched
	CacheDefault string `json:"cache_default"` // CacheDir where none is set
	CacheLimit   int64  `json:"cache_limit"`   // bytes, of each drive
	CacheUsed    int64  `json:"cache_used"`    // bytes, by the drives that are mounted
	// CacheLater names the mounted drives whose files are at an earlier place until
	// they are mounted again.
	CacheLater []string `json:"cache_later,omitempty"`

	UploadLimit   int64  `json:"upload_limit"`   // bytes a second, of all drives together; 0: none
	DownloadLimit int64  `json:"download_limit"` // likewise
	Proxy         string `json:"proxy"`          // ProxySystem, ProxyNone, or an address

	MountDir     string `json:"mount_dir"`     // the folder of drives that were given none; "" where they get letters
	MountDefault string `json:"mount_default"` // MountDir where none is set
}

// The words for Settings.Proxy.
const (
	ProxySystem = "system" // as the environment of the service says
	ProxyNone   = "none"
)

// EditSettings changes the fields that are not nil; "" and 0 are the default. All is in
// use at once, but drives that are mounted keep their place, and their files where
// these are, until they are mounted again.
type EditSettings struct {
	CacheDir      *string `json:"cache_dir,omitempty"`
	CacheLimit    *int64  `json:"cache_limit,omitempty"`
	UploadLimit   *int64  `json:"upload_limit,omitempty"`
	DownloadLimit *int64  `json:"download_limit,omitempty"`
	Proxy         *string `json:"proxy,omitempty"`
	MountDir      *string `json:"mount_dir,omitempty"`
}

// Pause is that changes are kept on this computer and not published.
type Pause struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"` // when it ends by itself; zero: never
}

// PauseTransfers has no change of any drive published, until ResumeTransfers or Until.
type PauseTransfers struct {
	Until time.Time `json:"until,omitzero"`
}
