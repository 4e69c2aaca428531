package apps

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// The S3 server's only login.
const keyID, secretKey = "moorage-test", "moorage-test-secret"

// gatewayEnv is where versitygw is.
const gatewayEnv = "MOORAGE_APPS_VERSITYGW"

// A gateway is an S3 server over a folder, in the guest.
type gateway struct {
	address string
	cmd     *exec.Cmd
}

const gatewayDir = "/mnt/gw"

func startGateway() (*gateway, error) {
	for _, dir := range []string{"objects", "meta"} {
		if err := os.Mkdir(filepath.Join(gatewayDir, dir), 0o700); err != nil {
			return nil, err
		}
	}
	g := &gateway{address: "127.0.0.1:7480"}
	g.cmd = exec.Command(os.Getenv(gatewayEnv), "--access", keyID, "--secret", secretKey, "--port", g.address, "--region", "us-east-1",
		"--keep-alive", "--quiet", "posix", "--sidecar", filepath.Join(gatewayDir, "meta"), filepath.Join(gatewayDir, "objects"))
	g.cmd.Stdout, g.cmd.Stderr = os.Stdout, os.Stderr
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", g.address); err == nil {
			return g, c.Close()
		}
	}
	g.stop()
	return nil, fmt.Errorf("versitygw does not answer at %s", g.address)
}

func (g *gateway) stop() {
	g.cmd.Process.Kill()
	g.cmd.Wait() // its status is that of a kill
}

// folder is where a bucket's objects are files.
func (g *gateway) folder(bucket string) string { return filepath.Join(gatewayDir, "objects", bucket) }

// bucket makes a bucket.
func (g *gateway) bucket(name string) error { return os.Mkdir(g.folder(name), 0o700) }

// size is how much the server has on its disk, parts of uploads included.
func (g *gateway) size() int64 {
	n := int64(0)
	filepath.WalkDir(filepath.Join(gatewayDir, "objects"), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if i, err := e.Info(); err == nil {
				n += i.Size()
			}
		}
		return nil // what is gone by now does not count
	})
	return n
}
