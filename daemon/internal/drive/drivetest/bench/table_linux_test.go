package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/link"
	"github.com/moorage/moorage/nfs/nfstest"
)

// The link of the table, and how much is moved over it. All of it takes some
// minutes.
var distant = link.Options{RTT: 50 * time.Millisecond, Rate: 200e6}

const (
	rounds      = 2
	streamSize  = 160 << 20
	bigSize     = 512 << 20
	firstFiles  = 12
	firstSize   = 64 << 10
	scatterTime = 4 * time.Second
	listNames   = 100_000
	listPages   = listNames / sdkNames
	warmSize    = 64 << 20
	uploadSize  = 1 << 30
	smallFiles  = 2000
	smallSize   = 4096
	smallEach   = 50              // files of a folder
	longest     = 5 * time.Minute // of one measurement
)

// table collects rows as they are measured.
type table struct {
	t   *testing.T
	dir string
	f   *far
	r   *rclone // nil: there is none
}

// Prints the table of BENCHMARKS.md.
func TestTable(t *testing.T) {
	if os.Getenv("MOORAGE_TEST_LONG") != "1" {
		t.Skip("measures for some minutes; MOORAGE_TEST_LONG=1 runs it")
	}
	b := &table{t: t, dir: t.TempDir(), f: newStore(t, distant)}
	b.r = newRclone(b.f)
	version := "No rclone in PATH"
	if b.r != nil {
		version = b.r.version(t.Context())
		if !b.r.fuse {
			version += ", which cannot mount here: /dev/fuse or fusermount3 is missing"
		}
	}
	fmt.Printf("%s, %s/%s, %d processors, %s, load average %s at the start. %s.\n\n", time.Now().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), runtime.Version(), load(), version)
	fmt.Println("| workload | goal | moorage | bare SDK | rclone serve nfs | rclone mount |\n|---|---|---|---|---|---|")
	for _, w := range []struct {
		name    string
		measure func()
	}{
		{"stream", b.streams}, {"first", b.firsts}, {"random", b.scattered}, {"again", b.again}, {"list", b.listings}, {"small", b.small}, {"large", b.large},
	} {
		t.Run(w.name, func(t *testing.T) {
			b.t = t
			w.measure()
		})
	}
}

// load is how busy the computer is.
func load() string {
	s, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(s), " ")
	return one
}

// folder makes an empty one.
func (b *table) folder() string {
	d, err := os.MkdirTemp(b.dir, "")
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

// row prints a row.
func (b *table) row(workload, goal string, cells ...string) {
	for len(cells) < numWays {
		cells = append(cells, "")
	}
	fmt.Printf("| %s | %s | %s |\n", workload, goal, strings.Join(cells, " | "))
}

// cell is what was measured, or why nothing was.
func cell(err error, format string, args ...any) string {
	if errors.Is(err, errNone) {
		return ""
	}
	if err != nil {
		return "failed: " + strings.ReplaceAll(err.Error(), "|", "/")
	}
	return fmt.Sprintf(format, args...)
}

// try goes a way that has nothing yet, and lists the folder that it is about.
func (b *table) try(way int, folder string, use func(ctx context.Context, s *session) error) error {
	ctx, cancel := context.WithTimeout(b.t.Context(), longest)
	defer cancel()
	s, err := begin(b.t, way, b.f, b.r, b.folder())
	if err != nil {
		return err
	}
	if _, err = s.list(ctx, folder); err == nil {
		err = use(ctx, s)
	}
	b.f.settle()
	return errors.Join(err, s.end())
}

// streams reads a file from its beginning.
func (b *table) streams() {
	b.f.give(b.t, "stream/file", streamSize)
	var all, settled, fetched [numWays][]float64
	var errs [numWays]error
	for range rounds {
		for way := range numWays {
			errs[way] = b.try(way, "stream", func(ctx context.Context, s *session) error {
				file, err := s.open(ctx, "stream/file")
				if err != nil {
					return err
				}
				block, depth := int64(128<<10), 16
				switch way {
				case bySDK:
					block, depth = sdkRange, sdkReads
				case byMount:
					block, depth = 1<<20, 1 // the kernel reads ahead
				}
				got, err := b.f.stream(ctx, file, streamSize, block, depth)
				if err == nil {
					all[way], settled[way], fetched[way] = append(all[way], got.all), append(settled[way], got.settled), append(fetched[way], got.fetched)
				}
				return err
			})
		}
	}
	line := func(x [numWays][]float64) (cells []string) {
		for way := range numWays {
			cells = append(cells, cell(errs[way], "%.3f", median(x[way])))
		}
		return cells
	}
	b.row(fmt.Sprintf("reading a file of %d MiB: share of the link", streamSize>>20), "", line(all)...)
	b.row("… from 1 s on", "≥ 0.95", line(settled)...)
	b.row("… bytes on the link for each that was read", "≤ 1.05", line(fetched)...)
}

func firstKey(i int) string { return fmt.Sprintf("first/%02d", i) }

// firsts reads the beginning of files that were only listed so far.
func (b *table) firsts() {
	for i := range firstFiles {
		b.f.give(b.t, firstKey(i), 4<<20)
	}
	var cells []string
	for way := range numWays {
		var times []float64
		err := b.try(way, "first", func(ctx context.Context, s *session) error {
			for i := range firstFiles {
				file, err := s.open(ctx, firstKey(i))
				if err != nil {
					return err
				}
				p := make([]byte, firstSize)
				took, err := timed(func() error { _, err := file.ReadAt(ctx, p, 0); return err })
				if err != nil {
					return err
				}
				if i > 0 { // the first one may wait for a connection
					times = append(times, took/distant.RTT.Seconds())
				}
				b.f.settle() // of what is read ahead
			}
			return nil
		})
		cells = append(cells, cell(err, "%.2f RTT", median(times)))
	}
	b.row(fmt.Sprintf("the first %d KiB of a file whose attributes are known: median", firstSize>>10), "≤ 1.2 RTT", cells...)
}

// scattered reads at random places.
func (b *table) scattered() {
	b.f.give(b.t, "top/big", bigSize)
	var one, many [numWays]scatter
	var errs [numWays]error
	for way := range numWays {
		for _, x := range []struct {
			readers int
			got     *scatter
		}{{1, &one[way]}, {16, &many[way]}} {
			err := b.try(way, "top", func(ctx context.Context, s *session) error {
				file, err := s.open(ctx, "top/big")
				if err == nil {
					*x.got, err = b.f.scatter(ctx, file, bigSize, x.readers, scatterTime)
				}
				return err
			})
			errs[way] = errors.Join(errs[way], err)
		}
	}
	line := func(of func(way int) string) (cells []string) {
		for way := range numWays {
			text := ""
			if errs[way] == nil {
				text = of(way)
			}
			cells = append(cells, cell(errs[way], "%s", text))
		}
		return cells
	}
	b.row("cold 4 KiB at random places: median (99th percentile)", "≤ 1.2 RTT", line(func(way int) string {
		return fmt.Sprintf("%.2f (%.2f) RTT", one[way].p50, one[way].p99)
	})...)
	b.row("… KiB on the link for each", "≤ 256", line(func(way int) string { return strconv.FormatInt(one[way].each>>10, 10) })...)
	b.row("… 16 readers: times the reads of one", "≥ 12", line(func(way int) string {
		return fmt.Sprintf("%.1f (%.0f/s)", many[way].rate/one[way].rate, many[way].rate)
	})...)
}

// again lists and reads what was listed and read before.
func (b *table) again() {
	b.f.give(b.t, "warm/file", warmSize)
	second, restarted := make([]string, numWays), make([]string, numWays)
	for _, way := range []int{byMoorage, byMount} {
		ctx, cancel := context.WithTimeout(b.t.Context(), longest)
		dir := b.folder()
		var up int64
		look := func(s *session) error {
			file, err := s.open(ctx, "warm/file")
			if err == nil {
				_, err = s.list(ctx, "warm")
			}
			if err == nil {
				_, err = b.f.stream(ctx, file, warmSize, 1<<20, 4)
			}
			return err
		}
		s, err := begin(b.t, way, b.f, b.r, dir)
		if err == nil {
			if _, err = s.list(ctx, ""); err == nil {
				err = look(s)
			}
			b.f.settle()
			up = b.f.link.Stats().Up
			err = errors.Join(err, look(s))
			second[way] = cell(err, "%d bytes", b.f.link.Stats().Up-up)
			err = errors.Join(err, s.end())
		}
		if err == nil {
			up = b.f.link.Stats().Up
			if s, err = begin(b.t, way, b.f, b.r, dir); err == nil {
				err = look(s)
				err = errors.Join(err, s.end())
			}
		}
		restarted[way] = cell(err, "%d bytes", b.f.link.Stats().Up-up)
		cancel()
	}
	b.row("listing a folder and reading a file once more: sent to the store", "0", second...)
	b.row("… after a restart", "0", restarted...)
}

// listings list a large folder.
func (b *table) listings() {
	catalog, f := newCatalog(b.t, "many", listNames, distant)
	r := b.r
	if r != nil {
		r = &rclone{f: f, bin: r.bin, fuse: r.fuse}
	}
	var times [numWays][]float64
	var pages [numWays]int
	var errs [numWays]error
	var warm, warmer float64
	var sent int64
	for range rounds {
		for _, way := range []int{byMoorage, bySDK, byMount} {
			ctx, cancel := context.WithTimeout(b.t.Context(), longest)
			dir := b.folder()
			s, err := begin(b.t, way, f, r, dir)
			count := func() error {
				n, err := s.list(ctx, "many")
				if err == nil && n != listNames {
					err = fmt.Errorf("%d names of %d", n, listNames)
				}
				return err
			}
			if err == nil {
				if way != bySDK {
					_, err = s.list(ctx, "")
				}
				before := catalog.asked()
				took, lerr := timed(count)
				times[way] = append(times[way], took)
				pages[way] = catalog.asked() - before
				err = errors.Join(err, lerr)
				if way == byMoorage && err == nil {
					up := f.link.Stats().Up
					warm, err = timed(count)
					err = errors.Join(err, s.end())
					if s, lerr = begin(b.t, way, f, r, dir); lerr != nil {
						b.t.Fatal(lerr)
					}
					warmer, lerr = timed(count)
					err = errors.Join(err, lerr)
					sent = f.link.Stats().Up - up
				}
				err = errors.Join(err, s.end())
			}
			errs[way] = err
			cancel()
		}
	}
	cells := make([]string, numWays)
	for _, way := range []int{byMoorage, bySDK, byMount} {
		took := median(times[way])
		cells[way] = cell(errs[way], "%.2f (%.2f s, %d pages)", took/(listPages*distant.RTT.Seconds()), took, pages[way])
	}
	b.row(fmt.Sprintf("cold listing of %d names: time / (%d pages × RTT)", listNames, listPages), "≤ 1.1", cells...)
	b.row("… once more; after a restart: names a second, sent to the store", "0 bytes",
		cell(errs[byMoorage], "%.0fk; %.0fk; %d bytes", listNames/warm/1e3, listNames/warmer/1e3, sent))
}

// ready makes a drive that publishes nothing before it is told to, and folders in
// it that are on the remote.
func (b *table) ready(ctx context.Context, folders ...string) (*mount, []nfstest.Handle) {
	m := b.f.mount(b.t, options{state: b.folder(), quiet: time.Hour})
	_, err := m.list(ctx, m.root)
	var made []nfstest.Handle
	for _, name := range folders {
		if err != nil {
			break
		}
		var r nfstest.NewResult
		if r, err = m.c.Mkdir(ctx, m.root, name, nfstest.Sattr{SetMode: true, Mode: 0o755}); err == nil && r.Status != 0 {
			err = nfstest.Status(r.Status)
		}
		made = append(made, r.Handle.Handle)
	}
	if err == nil {
		err = m.drive.Sync(ctx)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return m, made
}

// smallName is a small file's folder and name. versitygw reads all of a folder to
// tell whether a name in it is one of a folder: large ones make it slow.
func smallName(i int) (folder, name string) {
	return fmt.Sprintf("small-%02d", i/smallEach), fmt.Sprintf("%02d", i%smallEach)
}

// small sends many small files.
func (b *table) small() {
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*longest)
	defer cancel()
	body := func(i int) []byte { return data(uint64(i), smallSize) }
	var folders []string
	for i := 0; i < smallFiles; i += smallEach {
		folder, _ := smallName(i)
		folders = append(folders, folder)
	}
	m, dirs := b.ready(ctx, folders...)
	wrote, err := timed(func() error {
		return blocks(ctx, smallFiles, 1, 8, func(ctx context.Context, i, _ int64) error {
			_, name := smallName(int(i))
			return m.create(ctx, dirs[i/smallEach], name, smallSize, 1, func(int64, int64) []byte { return body(int(i)) })
		})
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ours, err := timed(func() error { return m.drive.Sync(ctx) })
	err = errors.Join(err, m.end())
	bare, serr := timed(func() error {
		return b.f.uploadAll(ctx, smallFiles, func(i int) (string, []byte) {
			folder, name := smallName(i)
			return "bare/" + folder + "/" + name, body(i)
		})
	})
	cells := []string{
		cell(err, "%.2f of the SDK (%.1f s; written in %.1f s)", bare/ours, ours, wrote),
		cell(serr, "%.1f s", bare), "", "",
	}
	if b.r != nil {
		from := b.folder()
		for i := range smallFiles {
			folder, name := smallName(i)
			if err := os.MkdirAll(filepath.Join(from, folder), 0o700); err != nil {
				b.t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(from, folder, name), body(i), 0o600); err != nil {
				b.t.Fatal(err)
			}
		}
		copied, err := timed(func() error {
			return b.r.run(ctx, "copy", from, "far:"+b.f.bucket+"/copied", "--transfers", strconv.Itoa(sdkFiles))
		})
		cells[byServe] = cell(err, "%.2f of the SDK (%.1f s, rclone copy)", bare/copied, copied)
	}
	b.row(fmt.Sprintf("upload of %d files of %d KiB, %d at a time", smallFiles, smallSize>>10, sdkFiles), "≥ 0.9 of the SDK", cells...)
}

// large sends one large file.
func (b *table) large() {
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*longest)
	defer cancel()
	piece := data(9, 1<<20)
	m, dirs := b.ready(ctx, "large")
	wrote, err := timed(func() error {
		return m.create(ctx, dirs[0], "file", uploadSize, 4, func(_, n int64) []byte { return piece[:n] })
	})
	if err != nil {
		b.t.Fatal(err)
	}
	up := b.f.link.Stats().Up
	ours, err := timed(func() error { return m.drive.Sync(ctx) })
	sent := float64(b.f.link.Stats().Up-up) / uploadSize
	err = errors.Join(err, m.end())
	from := filepath.Join(b.folder(), "file")
	out, cerr := os.Create(from)
	if cerr != nil {
		b.t.Fatal(cerr)
	}
	for range uploadSize / len(piece) {
		if _, err := out.Write(piece); err != nil {
			b.t.Fatal(err)
		}
	}
	if cerr = errors.Join(out.Sync(), out.Close()); cerr != nil {
		b.t.Fatal(cerr)
	}
	bare, serr := timed(func() error { return b.f.upload(ctx, from, "bare-file") })
	share := func(took float64) float64 { return b.f.rate(uploadSize, time.Duration(took*1e9)) }
	cells := []string{
		cell(err, "%.2f of the SDK (%.3f of the link; %.3f sent for each byte; written in %.1f s)", bare/ours, share(ours), sent, wrote),
		cell(serr, "%.3f of the link", share(bare)), "", "",
	}
	if b.r != nil {
		copied, err := timed(func() error {
			return b.r.run(ctx, "copyto", from, "far:"+b.f.bucket+"/copied-file", "--s3-upload-concurrency", strconv.Itoa(sdkParts), "--s3-chunk-size", "8M")
		})
		cells[byServe] = cell(err, "%.2f of the SDK (%.3f of the link, rclone copyto)", bare/copied, share(copied))
	}
	b.row(fmt.Sprintf("upload of %d MiB, %d parts at a time", uploadSize>>20, sdkParts), "≥ 0.9 of the SDK", cells...)
}
