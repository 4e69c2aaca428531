package kerneltest

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/memfs"
)

func TestMain(m *testing.M) {
	if url := os.Getenv("KERNELTEST_SERVE"); url != "" {
		if err := serve(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// serve is the guest's server.
func serve(url string) error {
	s, err := nfs.NewServer(nfs.Options{})
	if err != nil {
		return err
	}
	if !strings.HasPrefix(url, "mem:") {
		return fmt.Errorf("what is %s?", url)
	}
	if err := s.Export(nfs.Export{Path: "/d", FS: memfs.New(memfs.Options{}), Key: make([]byte, 32), FSID: 1}); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:20490")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"address": l.Addr().String(), "export": "/d"}); err != nil {
		return err
	}
	return s.Serve(l)
}
