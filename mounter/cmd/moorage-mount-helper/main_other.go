//go:build !linux

// Command moorage-mount-helper mounts drives for users of Linux; other systems need
// none.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "moorage-mount-helper: only Linux needs this program.")
	os.Exit(1)
}
