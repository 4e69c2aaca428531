package mounter

import (
	"slices"
	"strings"
	"testing"
)

var spec = Spec{Address: "127.0.0.1", Port: 40001, Export: "/t0ken/My Drive", Dir: "/home/u/Moorage/My Drive"}

func readOnly(s Spec) Spec { s.ReadOnly = true; return s }

func TestCommandVectors(t *testing.T) {
	win := Spec{Address: "127.88.0.1", Port: 2049, Export: "/gpt-oss-20b", Dir: "X:"}
	for _, tc := range []struct {
		name string
		got  command
		path string
		args []string
	}{
		{"linux", linuxMountNFS("/sbin/mount.nfs", spec), "/sbin/mount.nfs", []string{
			"127.0.0.1:/t0ken/My Drive", "/home/u/Moorage/My Drive", "-n", "-o",
			"nosuid,nodev,rw,retry=0,vers=3,proto=tcp,port=40001,mountvers=3,mountproto=tcp,mountport=40001,nolock,noacl,noresvport,hard,timeo=100,retrans=3,actimeo=1"}},
		{"linux read-only", linuxMountNFS("/sbin/mount.nfs", readOnly(spec)), "/sbin/mount.nfs", []string{
			"127.0.0.1:/t0ken/My Drive", "/home/u/Moorage/My Drive", "-n", "-o",
			"nosuid,nodev,ro,retry=0,vers=3,proto=tcp,port=40001,mountvers=3,mountproto=tcp,mountport=40001,nolock,noacl,noresvport,soft,timeo=100,retrans=3,actimeo=1"}},
		{"macOS", darwinMountNFS(spec), "/sbin/mount_nfs", []string{"-o",
			"vers=3,tcp,port=40001,mountport=40001,locallocks,intr,mutejukebox,rsize=1048576,wsize=1048576,readahead=16,nonegnamecache,actimeo=1,nosuid,nodev,hard,deadtimeout=45",
			"127.0.0.1:/t0ken/My Drive", "/home/u/Moorage/My Drive"}},
		{"macOS read-only", darwinMountNFS(readOnly(spec)), "/sbin/mount_nfs", []string{"-o",
			"vers=3,tcp,port=40001,mountport=40001,locallocks,intr,mutejukebox,rsize=1048576,wsize=1048576,readahead=16,nonegnamecache,actimeo=1,nosuid,nodev,soft,rdonly",
			"127.0.0.1:/t0ken/My Drive", "/home/u/Moorage/My Drive"}},
		{"macOS force", darwinForceUnmount("/Users/u/Moorage/d"), "/usr/sbin/diskutil", []string{"unmount", "force", "/Users/u/Moorage/d"}},
		{"windows", windowsMount(`C:\Windows\System32`, win), `C:\Windows\System32\mount.exe`, []string{"-o",
			"anon,nolock,mtype=soft,timeout=60,retry=3,rsize=32,wsize=32,fileaccess=777", `\\127.88.0.1\gpt-oss-20b`, "X:"}},
		{"windows unmount", windowsUnmount(`C:\Windows\System32`, "X:", false), `C:\Windows\System32\umount.exe`, []string{"X:"}},
		{"windows force", windowsUnmount(`C:\Windows\System32`, "X:", true), `C:\Windows\System32\umount.exe`, []string{"-f", "X:"}},
		{"windows net use", windowsNetUse(`C:\Windows\System32`, "X:"), `C:\Windows\System32\net.exe`, []string{"use", "X:", "/delete", "/y"}},
	} {
		if tc.got.path != tc.path || !slices.Equal(tc.got.args, tc.args) {
			t.Errorf("%s:\n got %q\nwant %q, %q", tc.name, tc.got, tc.path, tc.args)
		}
	}
	if o := linuxKernelOptions(spec); !strings.HasSuffix(o, ",addr=127.0.0.1,mountaddr=127.0.0.1") {
		t.Errorf("mount(2) options lack the addresses: %s", o)
	}
}

func TestWindowsNames(t *testing.T) {
	src, export := windowsSource(`\\127.88.0.1\a\b c`)
	if src != "127.88.0.1:/a/b c" || export != "/a/b c" {
		t.Errorf("got %q %q", src, export)
	}
	for dir, want := range map[string]bool{"X:": true, "z:": true, "X": false, `X:\`: false, "1:": false, "": false} {
		if isDriveLetter(dir) != want {
			t.Errorf("isDriveLetter(%q) is not %v", dir, want)
		}
	}
}

func TestSpecThatNoSystemCouldUse(t *testing.T) {
	for name, change := range map[string]func(*Spec){
		"other machine":  func(s *Spec) { s.Address = "192.0.2.1" },
		"name":           func(s *Spec) { s.Address = "localhost" },
		"wildcard":       func(s *Spec) { s.Address = "0.0.0.0" },
		"option smuggle": func(s *Spec) { s.Address = "127.0.0.1,suid" },
		"no port":        func(s *Spec) { s.Port = 0 },
		"relative":       func(s *Spec) { s.Export = "drive" },
		"newline":        func(s *Spec) { s.Export = "/a\nb" },
		"long":           func(s *Spec) { s.Export = "/" + strings.Repeat("x", 2000) },
		"handle":         func(s *Spec) { s.Root = make([]byte, 65) },
	} {
		s := spec
		change(&s)
		if err := new(Mounter).Mount(t.Context(), s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
