//go:build !linux

package main

import "os"

const rootDir = ""

func thisProgram() (string, error) { return os.Executable() }

func lookAt(dir string) error {
	_, err := os.Lstat(dir)
	return err
}
