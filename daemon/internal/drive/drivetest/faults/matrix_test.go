package faults

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Where tests are, seen from here.
const (
	here   = "."
	engine = "../.."
	cached = "../../blocks"
	staged = "../../staging"
	stored = "../../nodes"
	read   = "../../reader"
	bucket = "../../../../../providers/s3"
	kernel = "../../../kerneltest/"
)

// row is a fault at a moment, and the test that goes through it.
type row struct {
	point    string
	dir      string
	test     string
	variants []string // what the test calls them
}

// matrix is everything that the engine has to survive.
func matrix() map[string][]row {
	return map[string][]row{
		"kill -9, power loss": {
			{"before and after each step of write-back, multipart and directory renames among them", here, "TestCrashAtEachStep", []string{
				"a new file", "a file that is changed in part", "a file that is cut", "a large file in parts", "a folder and a file in it", "a file that is moved",
				"a file that is moved and changed", "a folder that is moved", "a link", "a file and a folder that are removed", "a file that is replaced by a new one",
				"files that swap names", "folders that swap names", "a file that somebody else changes"}},
			{"mid cache fill, mid eviction", here, "TestCrashWhileCaching", []string{"while it is filled", "while it makes room"}},
			{"mid cache fill, each operation of the disk", cached, "TestCrash", nil},
			{"during a client's dd, which goes on", here, "TestCrashDuringCopy", nil},
			{"a process that is killed while it reads", engine, "TestKill", nil},
			{"a file of which only a part is recorded", staged, "TestModel", nil},
		},
		"local disk": {
			{"EIO and ENOSPC, until the disk works again", here, "TestDiskFails", []string{
				"EIO on pwrite", "EIO on fsync", "EIO on fsync of a folder", "EIO on truncate", "EIO on pwrite of the store", "EIO on fsync of the store",
				"ENOSPC on pwrite", "ENOSPC in the store", "ENOSPC on all that is new", "a disk that fails altogether"}},
			{"EIO and ENOSPC, until the power is lost", here, "TestDiskFailsAndPowerIsLost", nil},
			{"a disk that is full", here, "TestNoSpace", nil},
			{"a cache that fails in each of its operations", here, "TestCacheFails", nil},
			{"the cache's folder is deleted", engine, "TestCacheIsDeleted", nil},
			{"the cache's folder is deleted while it is written", cached, "TestFolderDeletedWhileBusy", nil},
			{"a volume like FAT", here, "TestFATVolume", nil},
			{"a cache on a volume without holes", cached, "TestEvictWithoutHoles", nil},
			{"torn bitmaps, flipped bits", here, "TestBitsFlip", []string{"a bit", "a torn end", "a lost sector"}},
			{"damaged tables of the cache", cached, "TestDamagedFiles", nil},
			{"a damaged store", stored, "TestDamage", nil},
		},
		"HTTP": {
			{"each request that goes wrong", here, "TestHTTP", []string{
				"500", "502", "503", "503 with Retry-After", "429", "429 with Retry-After", "200 with an error body", "wrong range", "short body",
				"reset at 100 bytes", "reset of the request", "1 B/s", "half-open", "half-open in the body", "time-out after commit", "reset after commit",
				"duplicate, first answer", "duplicate, second answer",
				"a listing", "a look", "a read", "a new file", "a saved file", "a removal", "a move", "a removal after a move", "a new folder", "a part",
				"a large file's begin", "a large file's end", "a try of what the store keeps to"}},
			{"answers to ranges that are none", bucket, "TestWrongAnswersToReads", nil},
			{"a failure within a success", bucket, "TestFailureWithinSuccess", nil},
			{"requests at random", read, "TestChaos", nil},
			{"a remote that hangs", engine, "TestHang", nil},
			{"a remote that is away", engine, "TestOffline", nil},
			{"a failure that passes within a call", engine, "TestPassingFailure", nil},
		},
		"auth": {
			{"a login that is not good any more", here, "TestAuth", []string{"expiry in the middle of an upload", "revoked", "403 on one path"}},
			{"a login that is refused is not tried all the time", engine, "TestRefusedLogin", nil},
		},
		"clock": {
			{"a day off, set back", here, "TestClockIsSet", nil},
			{"a day off from the store's", here, "TestClockIsWrong", nil},
			{"times of whole seconds, and no versions", here, "TestCoarseTimes", []string{
				"what was published is no news", "saved twice within a second", "another size in the same second", "the same size in another second", "seen in another second"}},
		},
		"remote change": {
			{"each change, to a file in each state", here, "TestRemoteChange", []string{
				"edit", "delete", "replace by a directory", "same size and mtime",
				"clean", "clean and not read", "dirty", "uploading, before it arrives", "uploading, after it arrived", "mid-read"}},
			{"the rest of a file that is changed in part", here, "TestRestIsGone", nil},
		},
		"sleep and wake": {
			{"a process that stands still", here, "TestSleep", nil},
			{"connections that died meanwhile", here, "TestConnectionsAfterASleep", nil},
			{"another address", here, "TestAddressChange", nil},
		},
		"scale": {
			{"a huge folder while it changes", here, "TestManyNamesWhileChanging", nil},
			{"a sparse file of 5 TB", here, "TestHugeSparseFile", nil},
			{"folders 500 deep", here, "TestDeepFolder", nil},
			{"many queued uploads", here, "TestManyQueued", nil},
		},
		"names": {
			{"odd names", here, "TestNames", []string{"NFC and NFD twins", "case twins", "trailing dot", "trailing space", "CON", "colon", "255 bytes", "what shells dislike"}},
			{"odd names in a store", here, "TestNamesOfAStore", nil},
			{"a and a/", here, "TestFileAndFolderOfOneName", nil},
			{"a and a/, for those who read", bucket, "TestDirectoryHidesFile", nil},
			{"names that the remote refuses", here, "TestRefusedNames", []string{"invalid", "unsupported", "permission"}},
			{"names that are one to the remote", here, "TestCaselessRemote", nil},
		},
		"apps": {
			{"what arrives of them", here, "TestApps", []string{
				"vim", "vim, with backupcopy", "VS Code", "Word", "Excel", "Finder", "Explorer copy", "rsync", "git", "sqlite", "mmap", "open and removed", "fsx"}},
			{"the programs themselves", kernel + "apps", "TestApps", nil},
			{"pjdfstest's rules", kernel + "posix", "TestPOSIX", nil},
		},
	}
}

// tests are the tests of a package, and all texts in its test files.
type tests struct {
	names, texts map[string]bool
	skips        []string // places where tests are skipped
}

func testsIn(t *testing.T, dir string) tests {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no tests in %s: %v", dir, err)
	}
	out := tests{names: map[string]bool{}, texts: map[string]bool{}}
	fset := token.NewFileSet()
	for _, name := range files {
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(name) == "matrix_test.go" {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && strings.HasPrefix(n.Name.Name, "Test") {
					out.names[n.Name.Name] = true
				}
			case *ast.BasicLit:
				if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					out.texts[s] = true
				}
			case *ast.SelectorExpr:
				if n.Sel.Name == "Skip" || n.Sel.Name == "Skipf" || n.Sel.Name == "SkipNow" {
					out.skips = append(out.skips, fset.Position(n.Pos()).String())
				}
			}
			return true
		})
	}
	return out
}

// TestMatrix looks whether each fault has its test, and each test here its fault.
func TestMatrix(t *testing.T) {
	dirs := map[string]tests{}
	named := map[string]bool{"TestMatrix": true}
	for fault, rows := range matrix() {
		for _, r := range rows {
			in, ok := dirs[r.dir]
			if !ok {
				in = testsIn(t, r.dir)
				dirs[r.dir] = in
			}
			if !in.names[r.test] {
				t.Errorf("%s, %s: there is no %s in %s", fault, r.point, r.test, r.dir)
			}
			for _, v := range r.variants {
				if !in.texts[v] {
					t.Errorf("%s, %s: %s does not know %q", fault, r.point, r.test, v)
				}
			}
			if r.dir == here {
				named[r.test] = true
			}
		}
	}
	for name := range dirs[here].names {
		if !named[name] {
			t.Errorf("%s is of no fault in the list", name)
		}
	}
	for _, at := range dirs[here].skips {
		t.Errorf("a test is skipped: %s", at)
	}
}
