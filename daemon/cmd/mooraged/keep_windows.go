package main

import "syscall"

// detached is not used: there is no keeper.
func detached() *syscall.SysProcAttr { return nil }
