// Command manpages writes the manual pages of the command line into a folder.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra/doc"

	"github.com/moorage/moorage/app/internal/cli"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: manpages DIR DATE (as 2006-01-02)")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "manpages:", err)
		os.Exit(1)
	}
}

func write(dir, date string) error {
	at, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return err
	}
	return doc.GenManTree(cli.Command(cli.Env{}), &doc.GenManHeader{Section: "1", Source: "Moorage", Manual: "Moorage", Date: &at}, dir)
}
