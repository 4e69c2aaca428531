package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/nfs"
)

// app is what a program does to a drive, as the calls that arrive.
type app struct {
	name string
	has  tree
	play func(w *world)
	puts map[string]int // how often a path may be uploaded; not there: never
}

func apps() []app {
	long := noise(7, 200<<10)
	doc := tree{"doc.txt": before}
	return []app{
		{"vim", doc, func(w *world) {
			w.save(".doc.txt.swp", "b0VIM")
			w.save("4913", "") // it tries whether it may make files here
			w.remove("4913")
			w.rename("doc.txt", "doc.txt~")
			w.save("doc.txt", "edited")
			w.remove("doc.txt~")
			w.remove(".doc.txt.swp")
		}, map[string]int{"doc.txt": 1}},
		{"vim, with backupcopy", doc, func(w *world) {
			w.save("doc.txt~", before)
			w.truncate("doc.txt", 0)
			w.write("doc.txt", "edited", 0)
			w.remove("doc.txt~")
		}, map[string]int{"doc.txt": 1}},
		{"VS Code", doc, func(w *world) {
			w.truncate("doc.txt", 0)
			w.write("doc.txt", "edited", 0)
			w.truncate("doc.txt", 0)
			w.write("doc.txt", "edited again", 0)
		}, map[string]int{"doc.txt": 1}},
		{"Word", tree{"a.docx": long}, func(w *world) {
			w.save("~$a.docx", "owner")
			w.save("~WRD0001.tmp", "edited")
			w.rename("a.docx", "~WRL0001.tmp")
			w.rename("~WRD0001.tmp", "a.docx")
			w.remove("~WRL0001.tmp")
			w.remove("~$a.docx")
		}, map[string]int{"a.docx": 1}},
		{"Excel", tree{"a.xlsx": long}, func(w *world) {
			w.save("~$a.xlsx", "owner")
			w.save("3F2A1C00", "edited")
			w.remove("a.xlsx")
			w.rename("3F2A1C00", "a.xlsx")
			w.remove("~$a.xlsx")
		}, map[string]int{"a.xlsx": 1}},
		{"Finder", tree{}, func(w *world) {
			w.save("._copy.bin", "attributes")
			w.save("copy.bin", long)
			w.save(".DS_Store", "Bud1")
			w.sideFiles("._copy.bin", ".DS_Store")
		}, map[string]int{"copy.bin": 1}},
		{"Explorer copy", tree{}, func(w *world) {
			w.create("copy.bin")
			w.truncate("copy.bin", len(long)) // it asks for the room first
			for off := 0; off < len(long); off += 32 << 10 {
				w.write("copy.bin", long[off:min(off+32<<10, len(long))], off)
			}
		}, map[string]int{"copy.bin": 1}},
		{"rsync", tree{"d/": "", "d/f": before}, func(w *world) {
			w.save("d/.f.Ab12Cd", "edited")
			w.chtimes("d/.f.Ab12Cd", time.Unix(1e9, 0))
			w.rename("d/.f.Ab12Cd", "d/f")
		}, map[string]int{"d/f": 1}},
		{"git", tree{}, func(w *world) {
			w.mkdir(".git")
			w.mkdir(".git/objects")
			w.mkdir(".git/objects/ab")
			w.save(".git/objects/ab/tmp_obj_1", "blob")
			w.rename(".git/objects/ab/tmp_obj_1", ".git/objects/ab/cdef")
			w.save(".git/index.lock", "DIRC")
			w.rename(".git/index.lock", ".git/index")
			w.save(".git/HEAD.lock", "ref: x")
			w.rename(".git/HEAD.lock", ".git/HEAD")
		}, map[string]int{".git/objects/ab/cdef": 1, ".git/index": 1, ".git/HEAD": 1}},
		{"sqlite", tree{"a.db": long}, func(w *world) {
			for i := range 3 {
				w.save("a.db-journal", "undo")
				w.write("a.db", fmt.Sprint("page ", i), 4096*i)
				w.remove("a.db-journal")
			}
		}, map[string]int{"a.db": 1}},
		{"mmap", tree{"m": long}, func(w *world) {
			// Pages come in any order, whole, and many at a time.
			for _, page := range rand.New(rand.NewPCG(1, 1)).Perm(len(long) / 4096) {
				if page%3 == 0 {
					w.write("m", noise(uint64(page), 4096), page*4096)
				}
			}
		}, map[string]int{"m": 1}},
		{"open and removed", tree{"f": long}, func(w *world) {
			id := w.attr("f").ID
			w.rename("f", ".nfs0001")
			w.must(w.writeAt(context.Background(), id, "still", 0))
			if got, err := w.read(context.Background(), id); err != nil || !strings.HasPrefix(got, "still") {
				w.t.Errorf("a file that is open and removed reads %.10q, %v", got, err)
			}
			w.acked[".nfs0001"] = laid(long, "still", 0)
			w.remove(".nfs0001")
		}, nil},
		{"fsx", tree{"f": before}, fsx, map[string]int{"f": 1}},
	}
}

// chtimes sets a modification time.
func (w *world) chtimes(p string, at time.Time) {
	w.t.Helper()
	w.do("set the time of "+p, func(tree) {}, func(ctx context.Context) error {
		a, err := w.find(ctx, p)
		if err == nil {
			_, err = w.d.SetAttr(ctx, owner, a.ID, nfs.SetAttr{Valid: nfs.SetMtime, Mtime: at}, nil)
		}
		return err
	})
}

// sideFiles notes files that stay on this computer: the remote does not have them.
func (w *world) sideFiles(paths ...string) {
	w.side = append(w.side, paths...)
}

// fsx is what the program of that name does: all kinds of changes of one file, each
// compared with what it should be.
func fsx(w *world) {
	rng := rand.New(rand.NewPCG(3, 5))
	for i := range 120 {
		size := len(w.acked["f"])
		switch rng.IntN(4) {
		case 0:
			w.truncate("f", rng.IntN(64<<10))
		case 1:
			w.holds("f", w.acked["f"])
		case 2:
			w.write("f", noise(uint64(i), 1+rng.IntN(16<<10)), rng.IntN(size+1))
		default:
			w.write("f", noise(uint64(i), 1+rng.IntN(100)), rng.IntN(64<<10))
		}
	}
}

// TestApps goes through what programs do when they save, over remotes of each kind.
// Each file gets there once, and nothing of what is temporary.
func TestApps(t *testing.T) {
	t.Parallel()
	for _, a := range apps() {
		for _, kind := range everyKind {
			t.Run(a.name+" "+kind.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, rough.Options{Kind: kind})
					w.has(a.has)
					w.open()
					w.verify()
					w.counts = map[string]int{}
					a.play(w)
					w.ends()
					for p, n := range w.counts {
						if n > a.puts[p] {
							t.Errorf("%s was uploaded %d times", p, n)
						}
					}
					w.reopen()
					w.verify()
				})
			})
		}
	}
}
