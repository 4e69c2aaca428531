// Package desktop runs the tests of the window and the tray in a guest, whose
// kernel mounts the drives.
package desktop
