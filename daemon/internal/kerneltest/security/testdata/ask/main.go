//go:build linux

// Command ask asks the mount helper for what it must refuse, and prints what it said.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/moorage/moorage/mounter"
	"github.com/moorage/moorage/mounter/helper/helperclient"
)

func main() {
	if err := ask(os.Args[1], os.Args[2]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func ask(verb, dir string) error {
	const drive = "0123456789abcdef"
	m := helperclient.New(new(mounter.Mounter))
	switch verb {
	case "unmount":
		return m.Unmount(context.Background(), dir, true)
	case "mount":
		l, err := m.Listen(context.Background(), drive, 0)
		if err != nil {
			return err
		}
		defer l.Close()
		return m.Mount(context.Background(), mounter.Spec{Drive: drive, Held: true, Dir: dir,
			Export: "/" + strings.Repeat("0", 32) + "/x", Root: []byte("root")})
	}
	return fmt.Errorf("what is %s?", verb)
}
