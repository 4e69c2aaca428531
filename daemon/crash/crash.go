// Package crash keeps what the Go runtime says when a program of Moorage panics or dies
// of a fatal error: a file for each crash, in a folder that only its owner can read,
// without secrets. The reports go nowhere by themselves.
package crash

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

const (
	keep      = 5       // reports of all programs in a folder
	maxReport = 1 << 20 // bytes of one; a trace of thousands of goroutines is longer
	live      = ".live" // end of the name of the file that a running program would crash into
	ext       = ".txt"  // end of the name of a report
	seenFile  = "seen"  // names the newest report that a person was told of
	stamp     = "20060102T150405"
)

// Report is one crash.
type Report struct {
	Path    string
	Program string
	Time    time.Time // when the program ended
}

// Options are all needed.
type Options struct {
	Dir     string // made if it is missing; of one user
	Program string // its name, of which one process at a time runs
	Version string
	Clock   func() time.Time
}

// Recorder has the runtime write into a file while the program runs.
type Recorder struct {
	f   *os.File
	Old []Report // of crashes since the last Start, for the log
}

// Start begins to record, and makes reports of what earlier runs left. A process calls it
// once; its crash output is the runtime's for the whole process.
func Start(o Options) (*Recorder, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of crash reports: %w", err)
	}
	r := &Recorder{}
	var err error
	if r.Old, err = collect(o.Dir, o.Program); err != nil {
		return nil, err
	}
	p := filepath.Join(o.Dir, o.Program+live)
	if r.f, err = os.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, fmt.Errorf("make the file of a crash report: %w", err)
	}
	_, err = fmt.Fprintf(r.f, "%s %s, %s, %s/%s, started %s\n", o.Program, o.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH,
		o.Clock().UTC().Format(time.RFC3339))
	if err == nil {
		err = debug.SetCrashOutput(r.f, debug.CrashOptions{})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("record crashes: %w", err), r.Close())
	}
	return r, nil
}

// Close ends the recording of a program that ends in order.
func (r *Recorder) Close() error {
	return errors.Join(debug.SetCrashOutput(nil, debug.CrashOptions{}), r.f.Close(), os.Remove(r.f.Name()))
}

// collect turns what an earlier run of program wrote into a report, if it crashed.
func collect(dir, program string) ([]Report, error) {
	p := filepath.Join(dir, program+live)
	st, err := os.Stat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var b []byte
	if err == nil {
		b, err = head(p)
	}
	if err != nil {
		return nil, fmt.Errorf("read a crash report: %w", err)
	}
	var made []Report
	if first, trace, _ := strings.Cut(string(b), "\n"); strings.TrimSpace(trace) != "" { // else it was killed
		rep := Report{Program: program, Time: st.ModTime()}
		rep.Path = filepath.Join(dir, program+"-"+rep.Time.UTC().Format(stamp)+ext)
		text := first + ", ended " + rep.Time.UTC().Format(time.RFC3339) + "\n\n" + redactTrace(trace)
		if err := os.WriteFile(rep.Path, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("write a crash report: %w", err)
		}
		made = append(made, rep)
	}
	if err := os.Remove(p); err != nil {
		return nil, fmt.Errorf("remove an old crash file: %w", err)
	}
	all, err := Reports(dir)
	if err != nil {
		return nil, err
	}
	for _, old := range all[min(keep, len(all)):] {
		if err := os.Remove(old.Path); err != nil {
			return nil, fmt.Errorf("remove an old crash report: %w", err)
		}
	}
	return made, nil
}

// head reads the first maxReport bytes of a file.
func head(p string) ([]byte, error) {
	f, err := os.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxReport))
}

// Reports lists the reports in dir, the newest first. A folder that is not there has none.
func Reports(dir string) ([]Report, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list crash reports: %w", err)
	}
	var all []Report
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), ext)
		i := strings.LastIndexByte(base, '-')
		if !ok || i < 0 {
			continue
		}
		if t, err := time.Parse(stamp, base[i+1:]); err == nil {
			all = append(all, Report{Path: filepath.Join(dir, e.Name()), Program: base[:i], Time: t})
		}
	}
	slices.SortFunc(all, func(a, b Report) int {
		if c := b.Time.Compare(a.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Path, b.Path)
	})
	return all, nil
}

// News are the reports in dir that no person was told of yet; from now on they count as
// told.
func News(dir string) ([]Report, error) {
	all, err := Reports(dir)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	seen := filepath.Join(dir, seenFile)
	told, err := os.ReadFile(seen)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read which crash reports are known: %w", err)
	}
	if i := slices.IndexFunc(all, func(r Report) bool { return filepath.Base(r.Path) == string(told) }); i >= 0 {
		all = all[:i]
	}
	if len(all) > 0 {
		if err := os.WriteFile(seen, []byte(filepath.Base(all[0].Path)), 0o600); err != nil {
			return nil, fmt.Errorf("note which crash reports are known: %w", err)
		}
	}
	return all, nil
}
