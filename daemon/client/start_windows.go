package client

import (
	"syscall"

	"golang.org/x/sys/windows"
)

const exeSuffix = ".exe"

// detached gives the service no console, so that it does not end with one.
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		HideWindow:    true,
		CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP,
	}
}

// keepDescriptors has nothing to do: handles are inherited only by name.
func keepDescriptors() {}
