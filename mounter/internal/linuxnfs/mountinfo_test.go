package linuxnfs

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const table = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
broken line
61 27 0:50 / /home/u/Moorage/My\040Drive rw,nosuid,nodev,relatime shared:30 master:2 - nfs 127.0.0.1:/t0ken/My\040Drive rw,vers=3,rsize=1048576,hard,proto=tcp,port=40001,mountaddr=127.0.0.1,mountvers=3,mountport=40001,addr=127.0.0.1
62 27 0:51 / /mnt/tab\011\134\012 ro,nosuid - nfs 127.0.0.1:/x rw,vers=3,mountport=2049,addr=127.0.0.1
63 27 0:52 / /mnt/other rw - nfs4 nas:/vol/a ro,vers=4.2,addr=192.0.2.7
`

func TestReadMountinfo(t *testing.T) {
	all, err := ReadMountinfo(strings.NewReader(table))
	if err != nil {
		t.Fatal(err)
	}
	type mount struct {
		source, dir string
		port        uint16
		readOnly    bool
	}
	var got []mount
	for _, mi := range all {
		if mi.IsNFS() {
			got = append(got, mount{mi.Source, mi.Point, mi.Port(), mi.ReadOnly()})
		}
	}
	want := []mount{
		{"127.0.0.1:/t0ken/My Drive", "/home/u/Moorage/My Drive", 40001, false},
		{"127.0.0.1:/x", "/mnt/tab\t\\\n", 2049, true},
		{"nas:/vol/a", "/mnt/other", 0, true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if len(all) != 5 {
		t.Errorf("%d lines instead of 5: one broken line must not hide others", len(all))
	}
	if a := all[2].Address(); a != "127.0.0.1" {
		t.Errorf("address %q", a)
	}
}

func TestReadMountinfoIsBounded(t *testing.T) {
	if _, err := ReadMountinfo(strings.NewReader(strings.Repeat("x", maxMountinfoLine+1))); err == nil {
		t.Error("an endless line was read")
	}
}

// escapeOctal is the kernel's mangle(), fs/proc_namespace.c.
func escapeOctal(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(" \t\n\\#", s[i]) >= 0 {
			fmt.Fprintf(&b, `\%03o`, s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func FuzzMountinfo(f *testing.F) {
	for l := range strings.Lines(table) {
		f.Add(strings.TrimSuffix(l, "\n"))
	}
	f.Add(`1 0 0:1 / /a\04 rw - nfs [::1]:/x rw,port=99999`)
	f.Fuzz(func(t *testing.T, line string) {
		mi, err := parseMountinfo(line)
		if err != nil {
			return
		}
		mi.Port()
		mi.ReadOnly()
		mi.Address()
		again, err := parseMountinfo(fmt.Sprintf("%d %d 0:1 / %s %s shared:1 - %s %s %s", mi.ID, mi.Parent,
			escapeOctal(mi.Point), mi.Options, mi.FSType, escapeOctal(mi.Source), mi.Super))
		if err != nil || again != mi {
			t.Errorf("%q\n gave %+v\n then %+v, %v", line, mi, again, err)
		}
	})
}
