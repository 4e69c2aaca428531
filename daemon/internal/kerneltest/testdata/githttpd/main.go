// Command githttpd serves the git repositories below a directory over HTTP, for
// tests: "githttpd ADDRESS DIR", until it is killed.
package main

import (
	"fmt"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "githttpd:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("usage: githttpd ADDRESS DIR")
	}
	path, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return fmt.Errorf("find git http-backend: %w", err)
	}
	return http.ListenAndServe(os.Args[1], &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + os.Args[2], "GIT_HTTP_EXPORT_ALL=1", "HOME=" + os.Getenv("HOME")},
		// The backend answers in the protocol that the client asks for.
		InheritEnv: []string{"PATH"},
	})
}
