package crash

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const (
	roleEnv = "MOORAGE_CRASH_TEST"
	canary  = "hunter2canary99"
)

// TestMain lets the test binary be a program that ends in the way that roleEnv says.
func TestMain(m *testing.M) {
	how := os.Getenv(roleEnv)
	if how == "" {
		os.Exit(m.Run())
	}
	r, err := Start(Options{Dir: os.Args[1], Program: "prog", Version: "v1.2.3", Clock: time.Now})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	fmt.Println(len(r.Old))
	switch how {
	case "panic":
		go func() { // whoever panics
			panic(fmt.Errorf("GET https://me:%s@example.org/x?sig=%s: password=%s failed, %s", canary, canary, canary, "ghp_abcdef0123456789"+canary))
		}()
		select {}
	case "fatal": // which no recover sees
		defer func() { recover() }()
		m := map[int]int{}
		for range 8 {
			go func() {
				for i := 0; ; i++ {
					m[i%10] = i
				}
			}()
		}
		select {}
	case "kill":
		os.Exit(9) // with no word
	}
	if err := r.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	os.Exit(0)
}

// program runs until it ends, and says how many reports it found.
func program(t *testing.T, dir, how string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, dir)
	cmd.Env = append(os.Environ(), roleEnv+"="+how)
	var out bytes.Buffer
	cmd.Stdout = &out
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 || err != nil && exit == nil {
		t.Fatalf("%s: %v", how, err)
	}
	return strings.TrimSpace(out.String())
}

func TestReports(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "crashes")
	for _, step := range []struct{ how, found string }{{"ends", "0"}, {"panic", "0"}, {"kill", "1"}, {"ends", "0"}} {
		if got := program(t, dir, step.how); got != step.found {
			t.Errorf("%s: found %s reports, want %s", step.how, got, step.found)
		}
	}
	all, err := Reports(dir)
	if err != nil || len(all) != 1 || all[0].Program != "prog" || time.Since(all[0].Time) > time.Hour {
		t.Fatalf("reports %+v, %v", all, err)
	}
	b, err := os.ReadFile(all[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"prog v1.2.3, " + runtime.Version() + ", " + runtime.GOOS, ", ended 20", "panic: ", "example.org/x", "goroutine ", "crash_test.go:"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in the report:\n%s", want, b)
		}
	}
	if strings.Contains(string(b), canary) {
		t.Errorf("a secret is in the report:\n%s", b)
	}
	if st, err := os.Stat(all[0].Path); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if l, err := os.ReadDir(dir); err != nil || len(l) != 1 {
		t.Errorf("in the folder are %v, %v", l, err)
	}

	for want := range []int{1, 0} {
		if news, err := News(dir); err != nil || len(news) != 1-want {
			t.Errorf("news %+v, %v", news, err)
		}
	}
}

// A fatal error of the runtime is no panic, and is reported all the same.
func TestFatalError(t *testing.T) {
	dir := t.TempDir()
	program(t, dir, "fatal")
	if got := program(t, dir, "ends"); got != "1" {
		t.Fatalf("found %s reports", got)
	}
	all, err := Reports(dir)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if b, err := os.ReadFile(all[0].Path); err != nil || !strings.Contains(string(b), "maps.fatal(") {
		t.Errorf("%s, %v", b, err)
	}
}

// Five reports are kept, however many crashes there are.
func TestOldReportsGo(t *testing.T) {
	dir := t.TempDir()
	for i := range 9 {
		p := filepath.Join(dir, "prog"+live)
		if err := os.WriteFile(p, []byte("head\npanic: x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC)
		if err := os.Chtimes(p, at, at); err != nil {
			t.Fatal(err)
		}
		if made, err := collect(dir, "prog"); err != nil || len(made) != 1 || !made[0].Time.Equal(at) {
			t.Fatal(made, err)
		}
	}
	all, err := Reports(dir)
	if err != nil || len(all) != keep || all[0].Time.Day() != 9 || all[4].Time.Day() != 5 {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"open https://u:p@h/x failed":                       "open https://(hidden)@h/x failed",
		"ssh://git@github.com/a":                            "ssh://(hidden)@github.com/a",
		`Get "https://h/x?X-Amz-Signature=ab&y=1": timeout`: `Get "https://h/x?(hidden)": timeout`,
		"Authorization: Bearer abc.def":                     "Authorization: (hidden)",
		`{"password":"abc"}`:                                `{"password":(hidden)"}`,
		"token=abc, next":                                   "token=(hidden), next",
		"http://127.0.0.1:9/away.git cannot be reached":     "http://127.0.0.1:9/away.git cannot be reached",
		"runtime error: index out of range [5]":             "runtime error: index out of range [5]",
	} {
		if got := Redact(in); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestRedactAttr(t *testing.T) {
	var log bytes.Buffer
	l := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: RedactAttr}))
	l.Warn("away", "url", "https://u:"+canary+"@h/x", "err", fmt.Errorf("ask https://u:%s@h", canary), "n", 1, "nil", error(nil))
	if s := log.String(); strings.Contains(s, canary) || !strings.Contains(s, "n=1") {
		t.Errorf("%s", s)
	}
}
