package desktop

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/crash"
)

// Evidence is where a bundle takes what it holds from; what is not set is left
// out.
type Evidence struct {
	ServiceLog string        // the log file; that with ".1" behind is older
	AppLog     func() string // what was logged lately
	Crashes    string        // folder of crash reports
}

// Bounds of a bundle.
const (
	logLines   = 500
	logRead    = 1 << 20 // bytes of a log file that are looked at
	crashFiles = 10
	crashRead  = 1 << 20 // bytes of a report
)

// Diagnose collects what somebody who looks into a fault needs to know. done is
// called from another goroutine, and not at all after Close.
func (c *Controller) Diagnose(done func(model.Bundle)) {
	c.run(func() {
		ctx, cancel := context.WithTimeout(c.ctx, doctorTimeout)
		defer cancel()
		b := c.bundle(ctx)
		if c.ctx.Err() == nil {
			done(b)
		}
	})
}

// bundle leaves out nothing but secrets: what cannot be had says why.
func (c *Controller) bundle(ctx context.Context) model.Bundle {
	b := model.Bundle{Made: c.o.Clock()}
	add := func(name, text string, err error) {
		if err != nil {
			text += fmt.Sprintf("This could not be read: %v\n", err)
		}
		b.Files = append(b.Files, model.BundleFile{Name: name, Text: crash.Redact(text)})
	}
	about := fmt.Sprintf("made     %s\napp      %s\nsystem   %s %s\nGo       %s\n",
		b.Made.Format(time.RFC3339), c.o.Version, runtime.GOOS, runtime.GOARCH, runtime.Version())
	s, err := c.o.Doctor.Service(ctx)
	if err == nil {
		about += fmt.Sprintf("service  %s, since %s\n", s.Version, s.Started.Format(time.RFC3339))
	}
	add("about.txt", about, err)
	add("doctor.txt", model.Report(redactChecks(c.checks(ctx, false, ""))), nil)
	drives, err := c.describeDrives()
	add("drives.json", drives, err)
	if c.o.Evidence.ServiceLog != "" {
		lines, err := lastLines(c.o.Evidence.ServiceLog)
		add("service.log", lines, err)
	}
	if c.o.Evidence.AppLog != nil {
		add("app.log", c.o.Evidence.AppLog(), nil)
	}
	if c.o.Evidence.Crashes == "" {
		return b
	}
	reports, err := crash.Reports(c.o.Evidence.Crashes)
	if err != nil {
		add("crashes.txt", "", err)
	}
	for _, r := range reports[:min(len(reports), crashFiles)] {
		text, err := head(r.Path, crashRead)
		add("crashes/"+filepath.Base(r.Path), text, err)
	}
	return b
}

func redactChecks(checks []api.Check) []api.Check {
	for i := range checks {
		checks[i].Detail, checks[i].Remedy, checks[i].Done = redactWords(checks[i].Detail), redactWords(checks[i].Remedy), redactWords(checks[i].Done)
	}
	return checks
}

// describeDrives lists the drives as the service tells them.
func (c *Controller) describeDrives() (string, error) {
	c.mu.Lock()
	drives := c.model.Drives()
	c.mu.Unlock()
	for i := range drives {
		d := &drives[i]
		d.URL = redactURL(d.URL)
		if d.Problem != nil {
			p := *d.Problem
			p.What, p.Means, p.Do = redactWords(p.What), redactWords(p.Means), redactWords(p.Do)
			d.Problem = &p
		}
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(drives)
	return out.String(), err
}

// redactURL leaves out the login of an address, whatever it looks like, and the
// values of its parameters.
func redactURL(raw string) string {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		// user@host:path, as git and ssh take it
		if at := strings.LastIndexByte(raw, '@'); at >= 0 && strings.Contains(raw[at:], ":") {
			return "(hidden)" + raw[at:]
		}
		return raw
	}
	rest, query, _ := strings.Cut(rest, "?")
	// A login with a slash in it that nobody escaped is no login to url.Parse.
	if u, err := url.Parse(raw); err != nil || u.User != nil || strings.Contains(strings.SplitN(rest, "/", 2)[0], "@") {
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			rest = "(hidden)" + rest[at:]
		}
	}
	if query != "" {
		rest += "?(hidden)"
	}
	return scheme + "://" + rest
}

// redactWords redacts the addresses in a sentence.
func redactWords(text string) string {
	words := strings.Split(text, " ")
	for i, w := range words {
		if strings.Contains(w, "://") {
			start := strings.IndexFunc(w, func(r rune) bool { return 'a' <= r|0x20 && r|0x20 <= 'z' })
			words[i] = w[:max(start, 0)] + redactURL(w[max(start, 0):])
		}
	}
	return strings.Join(words, " ")
}

// lastLines are the last lines of a log, also from the file before it.
func lastLines(path string) (string, error) {
	now, err := tail(path, logRead)
	if n := bytes.Count(now, []byte("\n")); n < logLines {
		before, berr := tail(path+".1", logRead)
		if berr != nil && !errors.Is(berr, fs.ErrNotExist) {
			err = cmp.Or(err, berr)
		}
		now = append(before, now...)
	}
	return cut(string(now), logLines), err
}

// cut keeps the last n lines of a text.
func cut(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return strings.Join(lines[max(len(lines)-n, 0):], "")
}

// tail reads at most n bytes from the end of a file, from the first whole line.
func tail(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(max(size-n, 0), io.SeekStart); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, n))
	if size > n {
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	return b, err
}

func head(path string, n int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, n))
	return string(b), err
}
