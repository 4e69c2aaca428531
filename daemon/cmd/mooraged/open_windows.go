package main

import "golang.org/x/sys/windows"

const errNotDir = windows.ERROR_DIRECTORY
