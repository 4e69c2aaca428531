//go:build unix

package main

import "syscall"

// detached makes a program outlive this one.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
