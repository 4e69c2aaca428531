package disk

// SyncAller is an FS that can put all that is in it on stable storage at once,
// bytes and names, which takes less than many Syncs.
type SyncAller interface {
	// SyncAll may have to wait for what others write to the same disk.
	SyncAll() error
}
