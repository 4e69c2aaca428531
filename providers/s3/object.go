package s3

import (
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moorage/moorage/providers"
)

// object is what the store says about one.
type object struct {
	key      string
	etag     string // without quotes; never ""
	size     int64
	modified time.Time
	head     *awss3.HeadObjectOutput
}

// newObject checks an answer to HEAD.
func newObject(key string, out *awss3.HeadObjectOutput) (*object, error) {
	o := &object{key: key, head: out, etag: bareETag(out.ETag)}
	if o.etag == "" || out.ContentLength == nil || *out.ContentLength < 0 || out.LastModified == nil {
		return nil, fmt.Errorf("%w: an object without version, length or time", providers.ErrProtocol)
	}
	o.size, o.modified = *out.ContentLength, out.LastModified.UTC()
	return o, nil
}

// entry describes the object as the file or symbolic link name.
func (o *object) entry(name string, link bool) providers.Entry {
	e := providers.Entry{Name: name, Mode: fileMode, Size: o.size, ModTime: o.modified, Version: providers.Version(o.etag)}
	if t, ok := parseTime(o.head.Metadata[metaTime]); ok {
		e.ModTime = t
	}
	if link {
		e.Mode = linkMode
	} else if m, ok := parseMode(o.head.Metadata[metaMode]); ok {
		e.Mode = m
	}
	return e
}

// Modes of what says none.
const (
	fileMode = fs.FileMode(0o644)
	dirMode  = fs.ModeDir | 0o755
	linkMode = fs.ModeSymlink | 0o777
)

func dirEntry(name string) providers.Entry { return providers.Entry{Name: name, Mode: dirMode} }

// bareETag is an ETag without the quotes that most answers have around it.
func bareETag(s *string) string {
	if s == nil {
		return ""
	}
	return strings.Trim(strings.TrimPrefix(*s, "W/"), `"`)
}

// quoted is the form of an ETag that conditions have.
func quoted(etag string) *string {
	s := `"` + etag + `"`
	return &s
}

// The names of an object's metadata, as rclone has them.
const (
	metaTime = "mtime"
	metaMode = "mode"
)

// metadata is what a file is stored with.
func metadata(o providers.PutOptions) map[string]string {
	m := map[string]string{}
	if !o.ModTime.IsZero() {
		m[metaTime] = formatTime(o.ModTime)
	}
	if o.Mode.Perm() != 0 {
		m[metaMode] = formatMode(o.Mode)
	}
	return m
}

// formatTime writes seconds since 1970 with as many decimals as it takes.
func formatTime(t time.Time) string {
	sec, ns := t.Unix(), t.Nanosecond()
	sign := ""
	if sec < 0 && ns > 0 {
		sec, ns = sec+1, 1_000_000_000-ns
	}
	if t.Unix() < 0 {
		sign, sec = "-", -sec
	}
	s := sign + strconv.FormatUint(uint64(sec), 10)
	if ns != 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%09d", ns), "0")
	}
	return s
}

// parseTime reads what formatTime and other programs write. What is beyond
// what an NFS client can show is not believed.
func parseTime(s string) (time.Time, bool) {
	whole, frac, dot := strings.Cut(s, ".")
	digits, negative := strings.CutPrefix(whole, "-")
	sec, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || len(frac) > 32 || strings.Trim(frac, "0123456789") != "" || dot && frac == "" || sec > math.MaxUint32 {
		return time.Time{}, false
	}
	frac = (frac + "000000000")[:9]
	ns, err := strconv.ParseInt(frac, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	t := time.Unix(int64(sec), ns)
	if negative {
		t = time.Unix(-int64(sec), -ns)
	}
	return t.UTC(), true
}

const regular = 0o100000 // S_IFREG of stat(2)

func formatMode(m fs.FileMode) string { return strconv.FormatUint(uint64(regular|m.Perm()), 8) }

func parseMode(s string) (fs.FileMode, bool) {
	n, err := strconv.ParseUint(s, 8, 20)
	if err != nil || n&0o777 == 0 {
		return 0, false
	}
	return fs.FileMode(n & 0o777), true
}
