package posix

import (
	"path"
	"slices"
	"strings"
)

// A difference is one that lies in NFSv3 or in the kernel's client. The fields
// are patterns of path.Match.
type difference struct {
	check, line string
	result      string // what the drive gives
	why         string
}

var differences = []difference{
	{"what a drive may lack", "fallocate *", "ENOTSUP", "NFSv3 has no ALLOCATE"},
	{"what a drive may lack", "fstat a", "file 0644 * size 0", "the file was not preallocated"},
	{"what a drive may lack", "seek a 0 *", "*", "NFSv3 has no SEEK: a file is one extent"},
	{"what a drive may lack", "?etxattr f", "*", "NFSv3 has no extended attributes"},
	{"what a drive may lack", "open b . RW|TMPFILE", "ENOTSUP", "the client has no O_TMPFILE"},
	{"*", "noreplace *", "EINVAL", "NFSv3 has no flags of RENAME"},
	{"what a drive may lack", "what is left*", "*", "the file was not renamed with a flag"},
	{"O_DIRECT*", "direct dir", "65536 32768 bytes*", "tmpfs of Linux 6.1 has no O_DIRECT"},
	{"a directory of mode *", "* rmdir d.f", "ENOTDIR", writeLast},
	{"a directory of mode *", "* unlink d.sub", "EISDIR", writeLast},
	{"set-id *", "*chown * -1 -1", "ok", chownNothing},
	{"set-id *", "stat *10", "*", chownNothing},
	{"set-id *", "stat *18", "*", chownNothing},
	{"set-id *", "what is left*", "*", "every object was looked at before"},
	{"times after chown d.f -1 -1", "moved d.f", "d.f:", chownNothing},
	{"set-id *", "stat *2", "*", truncateNothing},
	{"set-id *", "stat *4", "*", truncateNothing},
	{"times after truncate d.f 4", "moved d.f", "d.f:", truncateNothing},
	{"set-id *", "stat *17", "*", "a server cannot tell WRITE from a mapping from write(2), which ends set-id"},
	{"a file of mode *", "* utimens f omit now", "*", "a server cannot tell this from the O_TRUNC of an empty file: write permission decides"},
	{"utimensat: who may", "mate: utimens f now omit", "EACCES", nowAlone},
	{"utimensat: who may", "mate: utimens f omit now", "EACCES", nowAlone},
	{"a directory of mode 600", "*: ls d", "../4 ./4 f/0 out/0 sub/0", "the server is an ordinary user, who cannot see types there either"},
	{"a directory of mode 600", "what is left", "*/d: permission denied", "the server is an ordinary user, who cannot see types there either"},
	{"new in a directory of mode *", "lstat d/*-p", "file 07* size 0", "the mode follows an exclusive create with a SETATTR, which is a chmod"},
	{"new in a directory of mode *", "what is left*", "*", "every object was looked at before"},
	{"times out of range", "times f", "0.* 0.*", "times of NFSv3 begin in 1970"},
	{"times out of range", "times f", "4294967295.* 4294967295.*", "times of NFSv3 end in 2106"},
}

const (
	writeLast       = "the client leaves write permission on a directory to the server and looks at the type before it asks"
	nowAlone        = "a server cannot tell this from the O_TRUNC of an empty file: it says that the right to write is missing"
	chownNothing    = "the client sends nothing for a chown to -1, -1"
	truncateNothing = "the client sends nothing for a truncate to the size that it knows"
)

// excuse is the place in the list of what explains that a step gave got; -1 for
// none.
func excuse(s step, got string) int {
	return slices.IndexFunc(differences, func(d difference) bool {
		return match(d.check, s.check) && match(d.line, s.line) && match(d.result, got)
	})
}

// match is path.Match with * for anything, slashes too.
func match(pattern, s string) bool {
	flat := func(s string) string { return strings.ReplaceAll(s, "/", ".") }
	ok, err := path.Match(flat(pattern), flat(s))
	return ok && err == nil
}
