package nodes

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

// outage is a store on a disk that fails, and what it must have.
type outage struct {
	t    *testing.T
	disk *disktest.Disk
	s    *Store
	want map[string]string   // what was acknowledged
	may  map[string][]string // what was tried since
}

func newOutage(t *testing.T, seed uint64) *outage {
	o := &outage{t: t, disk: disktest.New(seed), want: map[string]string{}, may: map[string][]string{}}
	o.open()
	return o
}

func (o *outage) open() {
	o.t.Helper()
	s, err := OpenIn(o.disk.Pebble(), "nodes", discard)
	if err != nil {
		o.t.Fatal(err)
	}
	s.kv.(*pebbleKV).patience = 100 * time.Millisecond
	o.s = s
}

// put stores a value, or says why not.
func (o *outage) put(key, value string) error {
	err := o.s.Update(func(tx *Tx) error {
		tx.SetMeta(key, []byte(value))
		return nil
	})
	if err == nil {
		o.want[key] = value
		delete(o.may, key)
	} else {
		o.may[key] = append(o.may[key], value)
	}
	return err
}

func (o *outage) check(when string) {
	o.t.Helper()
	for key, want := range o.want {
		got, err := o.s.Meta(key)
		if err != nil {
			o.t.Fatalf("%s: read %s: %v", when, key, err)
		}
		if string(got) != want && !slices.Contains(o.may[key], string(got)) {
			o.t.Fatalf("%s: %s is %.20q, not %.20q", when, key, got, want)
		}
	}
}

// well waits until the store can be written.
func (o *outage) well() {
	o.t.Helper()
	for i := 0; o.put("well", fmt.Sprint(i)) != nil; i++ {
		time.Sleep(time.Millisecond)
	}
	for o.s.Trouble() != nil {
		time.Sleep(time.Millisecond)
	}
}

// work writes so much that logs and tables come and go.
func (o *outage) work(rng *rand.Rand) {
	for i := range 24 {
		big := strings.Repeat(fmt.Sprintf("%08d", rng.Uint32()), 20<<10)
		_ = o.put(fmt.Sprintf("big%d", i%6), big)
		_ = o.put(fmt.Sprintf("small%d", i), fmt.Sprint(i))
	}
}

func changes(op string) bool {
	switch op {
	case "create", "write", "truncate", "sync", "rename", "link", "syncdir":
		return true
	}
	return false
}

// Whatever fails, at whatever step, once or for a while, nothing that was
// acknowledged is lost, the process lives, and the store can be written again.
func TestDiskFails(t *testing.T) {
	for _, kind := range []struct {
		name string
		of   func(name string) bool
		all  int // how many steps are tried
	}{
		{"log", func(name string) bool { return strings.HasSuffix(name, ".log") }, 16},
		{"other", func(name string) bool { return !strings.HasSuffix(name, ".log") }, 64},
	} {
		count := failOne(t, kind.name, kind.of, 0, 0, nil)
		step := count/int64(kind.all) + 1
		if testing.Short() {
			step *= 4
		}
		tried := 0
		for at := int64(1); at <= count; at += step {
			cause, burst := error(syscall.EIO), int64(1)
			if tried%2 == 0 {
				cause = syscall.ENOSPC
			}
			if tried%3 == 0 {
				burst = 3
			}
			failOne(t, kind.name, kind.of, at, burst, cause)
			tried++
		}
	}
}

// failOne fails some of the steps that change files of a kind, and tells how many
// there were.
func failOne(t *testing.T, kind string, of func(string) bool, at, burst int64, cause error) int64 {
	o := newOutage(t, uint64(at))
	var ops atomic.Int64
	var failed atomic.Value
	o.disk.Fail(func(op, name string) error {
		if !changes(op) || !of(name) {
			return nil
		}
		if n := ops.Add(1); n >= at && n < at+burst {
			failed.CompareAndSwap(nil, op+" "+name)
			return cause
		}
		return nil
	})
	o.work(rand.New(rand.NewPCG(1, uint64(at))))
	o.well()
	when := fmt.Sprintf("%v at step %d of %s (%v)", cause, at, kind, failed.Load())
	o.check(when)
	o.disk.Fail(nil)
	_ = o.put("after", "x")
	was := o.s
	o.disk = o.disk.Crash(nil)
	o.open()
	o.check(when + ", after a power failure")
	if err := o.s.Close(); err != nil {
		t.Errorf("%s: %v", when, err)
	}
	_ = was.Close() // it has no disk any more
	return ops.Load()
}

// While a disk takes nothing, what is there can be read, changes are refused
// without delay, and all goes on by itself when it takes something again.
func TestDiskTakesNothing(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		o := newOutage(t, 7)
		o.work(rand.New(rand.NewPCG(3, 4)))
		o.disk.Fail(func(op, _ string) error {
			if changes(op) {
				return cause
			}
			return nil
		})
		if err := o.put("lost", "?"); !errors.Is(err, ErrBroken) || !errors.Is(err, cause) {
			t.Errorf("a write that fails: %v", err)
		}
		o.s.kv.(*pebbleKV).patience = time.Hour
		for range 100 {
			if err := o.put("refused", "?"); !errors.Is(err, ErrBroken) {
				t.Errorf("a write after that: %v", err)
			}
		}
		o.check("while nothing can be written")
		if err := o.s.Trouble(); !errors.Is(err, ErrBroken) || !errors.Is(err, cause) {
			t.Errorf("the trouble: %v", err)
		}
		var wg sync.WaitGroup // readers go on while the store is exchanged
		end := make(chan struct{})
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-end:
						return
					default:
					}
					if _, err := o.s.Meta("small1"); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		o.disk.Fail(nil)
		o.well()
		close(end)
		wg.Wait()
		o.check("after that")
		if v, err := o.s.Meta("lost"); err != nil || string(v) != "?" {
			t.Errorf("what was seen and could not be stored is %q afterwards, %v", v, err)
		}
		if err := o.s.Close(); err != nil {
			t.Error(err)
		}
		o.open()
		o.check("opened anew")
		if err := o.s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A disk that is full is one that passes, and the store says when it has.
func TestTroubleOfFullDiskEndsByItself(t *testing.T) {
	o := newOutage(t, 9)
	if err := o.put("a", "1"); err != nil {
		t.Fatal(err)
	}
	o.disk.SetFree(reserve - 1)
	if err := o.put("b", "1"); !errors.Is(err, ErrFull) {
		t.Errorf("on a full disk: %v", err)
	}
	<-o.s.Troubles()
	if err := o.s.Trouble(); !errors.Is(err, ErrFull) {
		t.Errorf("the trouble: %v", err)
	}
	o.disk.SetFree(1 << 40)
	<-o.s.Troubles()
	if err := o.s.Trouble(); err != nil {
		t.Errorf("the trouble, after there was room: %v", err)
	}
	if err := o.s.Close(); err != nil {
		t.Error(err)
	}
}

// A folder that was taken away is not begun anew: ids would be given out twice.
func TestFolderIsTakenAway(t *testing.T) {
	o := newOutage(t, 11)
	if err := o.put("a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := o.disk.Pebble().RemoveAll("nodes"); err != nil {
		t.Fatal(err)
	}
	o.disk.Fail(func(op, _ string) error {
		if op == "sync" {
			return syscall.EIO
		}
		return nil
	})
	if err := o.put("b", "1"); !errors.Is(err, ErrBroken) {
		t.Errorf("without a folder: %v", err)
	}
	o.disk.Fail(nil)
	if err := o.put("c", "1"); !errors.Is(err, ErrBroken) {
		t.Errorf("without a folder, later: %v", err)
	}
	o.check("without a folder")
	if err := o.s.Close(); err != nil {
		t.Error(err)
	}
}
