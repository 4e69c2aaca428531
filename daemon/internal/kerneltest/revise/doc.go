// Package revise moves a mounted drive of a git repository through its history, and has a
// real kernel's client see it: without a remount, other names and other bytes are there
// within seconds, with the ids of what is the same, times that move forward, and a working
// folder that stays good. It needs the Debian package git.
package revise
