package disk

// Mover is an FS that can take a file of another FS without copying it.
type Mover interface {
	// MoveFrom is Rename for a file of src that becomes one here.
	// ErrUnsupported if it would have to be copied; it is then where it was.
	MoveFrom(src FS, from, to string) error
}
