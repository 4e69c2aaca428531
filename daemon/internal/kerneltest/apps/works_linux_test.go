package apps

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A work is what somebody does in a folder.
type work struct {
	name string
	// do works in an empty folder, and gives an error if anything in it is not as
	// on a local disk.
	do    func(dir string) error
	times bool // those of files and folders are set by do
	// differs tells which files have other bytes each time.
	differs func(rel string) bool

	want tree // what do leaves on a local disk
	ops  int  // calls of NFS that do took on the drive that nothing happened to
}

// source is where local files are that are copied.
const source = "/mnt/local/source"

func works(long bool) []*work {
	files, saves, size := 200, 12, int64(64<<20)
	if long {
		files, saves, size = 2000, 100, 1<<30
	}
	return []*work{
		{name: "cp", times: true, do: func(dir string) error { return copied(dir, files) }},
		{name: "git", do: cloned, differs: func(rel string) bool { return rel == "clone/.git/index" }},
		{name: "rsync", times: true, do: func(dir string) error { return synced(dir, files/4) }},
		{name: "vim", do: func(dir string) error { return edited(dir, saves, vim) }},
		{name: "word", do: func(dir string) error { return edited(dir, saves, word) }},
		{name: "excel", do: func(dir string) error { return edited(dir, saves, excel) }},
		{name: "sqlite", do: func(dir string) error { return database(dir, saves) }},
		{name: "large", do: func(dir string) error { return large(dir, size) }},
	}
}

// workNamed does a work of that name.
func workNamed(name, dir string, long bool) error {
	for _, w := range works(long) {
		if w.name == name {
			return w.do(dir)
		}
	}
	return fmt.Errorf("there is no work named %s", name)
}

// run does the work in another process. One that has a file of the drive open must
// start no program while the server is away: a program that starts closes what it
// inherits, and NFS writes back at every close.
func (w *work) run(dir string) error { return run(dir, os.Args[0], w.name, dir) }

// sample makes a folder of n files in ten folders, the same every time.
func sample(dir string, n int) error {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	bytes := rand.NewChaCha8([32]byte{1})
	modes := []os.FileMode{0o644, 0o644, 0o600, 0o755}
	for i := range n {
		sub := filepath.Join(dir, fmt.Sprintf("d%d", i%10))
		if i%20 == 0 {
			sub = filepath.Join(sub, "deeper", "and deeper")
		}
		b := make([]byte, r.IntN(16<<10))
		switch i % 50 {
		case 0:
			b = nil
		case 1:
			b = make([]byte, 100<<10+r.IntN(100<<10))
		}
		bytes.Read(b)
		f := filepath.Join(sub, fmt.Sprintf("file %d.dat", i))
		at := time.Unix(1_000_000_000+int64(i), int64(i)*1000)
		if err := errors.Join(os.MkdirAll(sub, 0o755), os.WriteFile(f, b, modes[i%4]), os.Chtimes(f, at, at)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "empty", "folder"), 0o755); err != nil {
		return err
	}
	return dated(dir)
}

// dated gives all folders a time that is the same every time.
func dated(dir string) error {
	at := time.Unix(1_200_000_000, 123_000)
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chtimes(name, at, at)
		}
		return err
	})
}

// copied copies a folder with all that cp keeps.
func copied(dir string, files int) error {
	from := filepath.Join(source, "copied")
	if err := fresh(from, func() error { return sample(from, files) }); err != nil {
		return err
	}
	return run(dir, "cp", "-a", from, "copy")
}

// synced copies a folder, changes it, and copies what has changed.
func synced(dir string, files int) error {
	from := filepath.Join(source, "synced")
	if err := fresh(from, func() error { return sample(from, files) }); err != nil {
		return err
	}
	if err := run(dir, "rsync", "-a", from+"/", "sync"); err != nil {
		return err
	}
	at := time.Unix(1_500_000_000, 0)
	changed := filepath.Join(from, "d1", "file 1.dat")
	if err := errors.Join(os.WriteFile(changed, []byte("changed"), 0o644), os.Chtimes(changed, at, at),
		os.RemoveAll(filepath.Join(from, "d2")), os.Rename(filepath.Join(from, "d3"), filepath.Join(from, "renamed")), dated(from)); err != nil {
		return err
	}
	if err := run(dir, "rsync", "-a", "--delete", from+"/", "sync"); err != nil {
		return err
	}
	out, err := output(dir, "rsync", "-anic", "--delete", from+"/", "sync")
	if err == nil && out != "" {
		err = fmt.Errorf("rsync finds differences:\n%s", out)
	}
	return err
}

// cloned clones a repository and commits a change.
func cloned(dir string) error {
	at := filepath.Join(source, "origin")
	err := fresh(at, func() error {
		if err := sample(at, 10); err != nil {
			return err
		}
		return errors.Join(run(at, "git", "init", "-q"), run(at, "git", "add", "-A"), run(at, "git", "commit", "-qm", "one"))
	})
	if err != nil {
		return err
	}
	if err := run(dir, "git", "clone", "-q", "--no-hardlinks", at, "clone"); err != nil {
		return err
	}
	clone := filepath.Join(dir, "clone")
	if err := errors.Join(os.WriteFile(filepath.Join(clone, "d1", "new"), []byte("new\n"), 0o644), os.Remove(filepath.Join(clone, "d1", "file 1.dat"))); err != nil {
		return err
	}
	if err := errors.Join(run(clone, "git", "add", "-A"), run(clone, "git", "commit", "-qm", "two"), run(clone, "git", "fsck", "--full", "--strict")); err != nil {
		return err
	}
	out, err := output(clone, "git", "status", "--porcelain")
	if err == nil && out != "" {
		err = fmt.Errorf("git status:\n%s", out)
	}
	return err
}

// edited saves a file many times, and reads it each time.
func edited(dir string, saves int, save func(file string, content []byte) error) error {
	f := filepath.Join(dir, "text.docx")
	if err := os.WriteFile(f, []byte("at first"), 0o640); err != nil {
		return err
	}
	for i := range saves {
		content := bytes.Repeat([]byte(fmt.Sprintf("saved %d times\n", i+1)), 1000+i)
		if err := save(f, content); err != nil {
			return fmt.Errorf("save %d: %w", i, err)
		}
		if got, err := os.ReadFile(f); err != nil || !bytes.Equal(got, content) {
			return fmt.Errorf("after save %d there are %d bytes, not %d: %w", i, len(got), len(content), err)
		}
	}
	return nil
}

// put writes a file anew and wants it on stable storage.
func put(name string, content []byte, flags int, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|flags, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// vim saves as Vim does: the old file becomes the backup until the new one is
// written.
func vim(file string, content []byte) error {
	swap := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".swp")
	probe := filepath.Join(filepath.Dir(file), "4913")
	return inOrder(
		func() error { return put(swap, content[:100], os.O_EXCL, 0o600) },
		func() error { return put(probe, nil, os.O_EXCL, 0o640) },
		func() error { return os.Remove(probe) },
		func() error { return os.Rename(file, file+"~") },
		func() error { return put(file, content, os.O_TRUNC, 0o640) },
		func() error { return os.Chmod(file, 0o640) },
		func() error { return os.Remove(file + "~") },
		func() error { return os.Remove(swap) },
	)
}

// word saves as Word does: the new file is complete before the old one goes aside.
func word(file string, content []byte) error {
	in := func(name string) string { return filepath.Join(filepath.Dir(file), name) }
	lock, temp, old := in("~$xt.docx"), in("~WRD0001.tmp"), in("~WRL0002.tmp")
	return inOrder(
		func() error { return put(lock, []byte("somebody"), os.O_EXCL, 0o640) },
		func() error { return put(temp, content, os.O_EXCL, 0o640) },
		func() error { return os.Rename(file, old) },
		func() error { return os.Rename(temp, file) },
		func() error { return os.Remove(old) },
		func() error { return os.Remove(lock) },
	)
}

// excel saves as Excel does: for a moment there is no file of that name.
func excel(file string, content []byte) error {
	temp := filepath.Join(filepath.Dir(file), "5C0A7E10")
	return inOrder(
		func() error { return put(temp, content, os.O_EXCL, 0o640) },
		func() error { return os.Remove(file) },
		func() error { return os.Rename(temp, file) },
	)
}

func inOrder(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// database runs transactions with a rollback journal; half of them are rolled back.
func database(dir string, n int) error {
	var sql strings.Builder
	sql.WriteString("pragma journal_mode=delete; pragma synchronous=full; create table t(id integer primary key, v text); create index i on t(v);\n")
	for i := range n {
		end := "commit"
		if i%2 == 1 {
			end = "rollback"
		}
		fmt.Fprintf(&sql, "begin; insert into t(v) select hex(x * %d) || 'and so on' from (with recursive c(x) as (select 1 union all select x+1 from c where x<300) select x from c);"+
			"update t set v = v || 'x' where id %% %d = 0; delete from t where id %% 7 = %d; %s;\n", i+1, i+2, i%7, end)
	}
	sql.WriteString("pragma integrity_check; select count(*) from t;\n")
	cmd := exec.Command("sqlite3", "-bail", "db.sqlite")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(sql.String())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "delete\nok\n") {
		return fmt.Errorf("sqlite3: %w, said %s", err, out)
	}
	return os.WriteFile(filepath.Join(dir, "said"), out, 0o644)
}

// large writes a file from its beginning to its end.
func large(dir string, size int64) error {
	f, err := os.Create(filepath.Join(dir, "large.bin"))
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, io.LimitReader(rand.NewChaCha8([32]byte{2}), size), make([]byte, 1<<20))
	return errors.Join(err, f.Sync(), f.Close())
}

// fresh makes dir anew with make.
func fresh(dir string, make func() error) error {
	return errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755), make())
}

// limit is in seconds: how long a program may take, with the pauses of a client
// whose server is away.
const limit = 600

func run(dir, name string, args ...string) error {
	_, err := output(dir, name, args...)
	return err
}

// output runs a program, bounded, and gives what it said.
func output(dir, name string, args ...string) (string, error) {
	// timeout ends the children, too.
	cmd := exec.Command("timeout", append([]string{"-k", "5", strconv.Itoa(limit), name}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out[max(0, len(out)-3000):])
	}
	return string(out), err
}
