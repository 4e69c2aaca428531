// Package faults has the drive engine go through everything that goes wrong with
// computers, disks, lines and remotes, one fault at a time and at each moment at
// which it can hit. The list of them is in matrix_test.go.
//
// What must hold is the same for all: what the drive shows is what was
// acknowledged; the remote has what it had, what it is to have, or that and a
// conflict copy; nothing is lost, nothing hangs, and what passes is no error to a
// client.
//
// Most of it happens in bubbles of testing/synctest, so that a minute of waiting
// takes no time, and a call that never ends is found.
package faults
