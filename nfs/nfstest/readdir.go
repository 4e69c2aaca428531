package nfstest

import (
	"fmt"
	"sync"

	"github.com/moorage/moorage/nfs"
)

var readDirChecks = []check{
	{"Cookies", (*env).testCookies},
	{"RemoveWhileReading", (*env).testRemoveWhileReading},
	{"Concurrent", (*env).testReadDirConcurrent},
	{"Large", (*env).testLargeDirectory},
}

func (e *env) fill(dir nfs.ID, n int) []string {
	e.Helper()
	f := need[nfs.Creator](e)
	var names []string
	for i := range n {
		name := fmt.Sprintf("entry-%05d", i)
		_, _, err := f.Create(e.ctx, e.owner, dir, name, nfs.CreateHow{Mode: nfs.Guarded})
		e.must("create", err)
		names = append(names, name)
	}
	return names
}

// testCookies: a name keeps its cookie, and a cookie its place.
func (e *env) testCookies() {
	need[nfs.Remover](e)
	e.fill(e.base, 40)
	all := e.list(e.base, 7, false)
	seen := map[uint64]string{}
	for _, d := range all {
		if d.Cookie <= 2 || seen[d.Cookie] != "" {
			e.Errorf("cookie %d of %s, also of %q", d.Cookie, d.Name, seen[d.Cookie])
		}
		seen[d.Cookie] = d.Name
	}
	from := func(cookie uint64) (names []string) {
		_, err := e.fs.ReadDir(e.ctx, e.owner, e.base, cookie, false, func(d nfs.DirEntry) bool {
			names = append(names, d.Name)
			return true
		})
		e.must("readdir", err)
		return names
	}
	// Behind an entry that is gone, the listing goes on where it was.
	for _, i := range []int{0, 13, 14, 20, 39} {
		e.must("remove", e.remove(e.owner, e.base, all[i].Name))
	}
	gone := map[int]bool{0: true, 13: true, 14: true, 20: true, 39: true}
	for i, d := range all {
		var want []string
		for j := i + 1; j < len(all); j++ {
			if !gone[j] {
				want = append(want, all[j].Name)
			}
		}
		if got := from(d.Cookie); fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("behind entry %d (gone: %v): %d entries, want %d", i, gone[i], len(got), len(want))
		}
	}
	// Other names that come do not get the cookies of those that went.
	for i := range 20 {
		e.file(e.owner, e.base, fmt.Sprint("late", i), 0o644)
	}
	e.oldCookies(seen)
	if _, ok := e.fs.(nfs.Renamer); ok {
		victim := all[5]
		e.must("rename over a file", e.rename(e.owner, e.base, "late0", e.base, victim.Name))
		e.oldCookies(seen)
		for _, d := range e.list(e.base, 9, false) {
			if d.Name == victim.Name && d.Cookie != victim.Cookie {
				e.Errorf("the cookie of %s was %d and is %d since a rename over it", d.Name, victim.Cookie, d.Cookie)
			}
		}
	}
	// Nor do those that come when the directory has been empty.
	for _, d := range e.list(e.base, 100, false) {
		seen[d.Cookie] = d.Name
		e.must("remove", e.remove(e.owner, e.base, d.Name))
	}
	e.file(e.owner, e.base, "first", 0o644)
	e.oldCookies(seen)
}

// oldCookies checks that no cookie of e.base belonged to another name.
func (e *env) oldCookies(seen map[uint64]string) {
	e.Helper()
	for _, d := range e.list(e.base, 9, false) {
		if old, ok := seen[d.Cookie]; ok && old != d.Name {
			e.Errorf("cookie %d belonged to %s and now to %s", d.Cookie, old, d.Name)
		}
	}
}

// testRemoveWhileReading empties a directory while it is read, as rm -r does.
func (e *env) testRemoveWhileReading() {
	need[nfs.Remover](e)
	names := e.fill(e.base, 300)
	seen := map[string]bool{}
	cookie := uint64(0)
	for {
		var page []nfs.DirEntry
		eof, err := e.fs.ReadDir(e.ctx, e.owner, e.base, cookie, false, func(d nfs.DirEntry) bool {
			if len(page) == 16 {
				return false
			}
			page = append(page, d)
			return true
		})
		e.must("readdir", err)
		for _, d := range page {
			if seen[d.Name] {
				e.Errorf("%s is listed twice", d.Name)
			}
			seen[d.Name] = true
			e.must("remove", e.remove(e.owner, e.base, d.Name))
			cookie = d.Cookie
		}
		if eof {
			break
		}
	}
	if len(seen) != len(names) {
		e.Errorf("%d of %d entries were listed while they were removed", len(seen), len(names))
	}
	if left := e.list(e.base, 100, false); len(left) != 0 {
		e.Errorf("%d entries are left", len(left))
	}
}

// testReadDirConcurrent walks a directory again and again while names come and
// go: those that stay are listed exactly once.
func (e *env) testReadDirConcurrent() {
	creator, remover := need[nfs.Creator](e), need[nfs.Remover](e)
	stay := e.fill(e.base, 150)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprintf("churn-%d-%d", w, i%10)
				if _, _, err := creator.Create(e.ctx, e.owner, e.base, name, nfs.CreateHow{Mode: nfs.Guarded}); err != nil {
					e.Errorf("create: %v", err)
					return
				}
				if _, err := remover.Remove(e.ctx, e.owner, e.base, name); err != nil {
					e.Errorf("remove: %v", err)
					return
				}
			}
		}()
	}
	for walk := range 20 {
		count := map[string]int{}
		for _, d := range e.list(e.base, 1+walk, walk%2 == 0) {
			count[d.Name]++
		}
		for _, name := range stay {
			if count[name] != 1 {
				e.Errorf("walk %d: %s is listed %d times", walk, name, count[name])
			}
		}
	}
	close(stop)
	wg.Wait()
}

// testLargeDirectory lists 4,000 names. They come and go by many callers at a
// time, because every single change may have to wait for a disk.
func (e *env) testLargeDirectory() {
	creator, remover := need[nfs.Creator](e), need[nfs.Remover](e)
	const workers, each = 25, 160
	all := func(change func(name string) error) {
		parallel(workers, func(w int) {
			for i := range each {
				if err := change(fmt.Sprintf("entry-%05d", w*each+i)); err != nil {
					e.Errorf("entry %d: %v", w*each+i, err)
					return
				}
			}
		})
	}
	all(func(name string) error {
		_, _, err := creator.Create(e.ctx, e.owner, e.base, name, nfs.CreateHow{Mode: nfs.Guarded})
		return err
	})
	count := map[string]int{}
	for _, d := range e.list(e.base, 100, true) {
		count[d.Name]++
	}
	for i := range workers * each {
		if name := fmt.Sprintf("entry-%05d", i); count[name] != 1 {
			e.Errorf("%s is listed %d times", name, count[name])
		}
	}
	if len(count) != workers*each {
		e.Errorf("%d names, want %d", len(count), workers*each)
	}
	all(func(name string) error {
		_, err := remover.Remove(e.ctx, e.owner, e.base, name)
		return err
	})
	if left := e.list(e.base, 100, false); len(left) != 0 {
		e.Errorf("%d entries are left", len(left))
	}
}
