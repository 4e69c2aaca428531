//go:build !linux

package service

// notify does nothing: only systemd wants to be told.
func notify(string) {}

const (
	stateReady    = ""
	stateStopping = ""
)

func notifyMain(int) {}
