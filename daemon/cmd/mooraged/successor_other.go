//go:build !linux

package main

import "os/exec"

// successors has nothing to give: launchd takes away what a service leaves behind, and
// would not watch over it. There a service ends and is started again.
func successors(bool) (func(program string) *exec.Cmd, error) { return nil, nil }
