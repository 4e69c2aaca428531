package linuxnfs

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// The bytes were compared with what a Linux 6.1 kernel on amd64 takes: mounter's
// TestKernel mounts by them.
func TestRule03RootHandleInMountArguments(t *testing.T) {
	d := Data{Addr: netip.MustParseAddrPort("127.0.0.1:40001"), Root: []byte("ROOTFH-0123456789abcdef-secret!!"), Soft: true, AttrCache: 1}
	zeros := func(n int) string { return strings.Repeat("00", n) }
	want := "06000000" + "ffffffff" + zeros(32) + "c10a0000" + // version, fd, old root, SOFT|TCP|VER3|NONLM|NOACL
		"00000000" + "00000000" + "64000000" + "03000000" + // rsize, wsize, timeo, retrans
		"01000000" + "01000000" + "01000000" + "01000000" + // attribute cache
		"0200" + "9c41" + "7f000001" + zeros(8) + // sockaddr_in
		hex.EncodeToString([]byte("127.0.0.1")) + zeros(256-9) +
		"ff000000" + "00000000" + "2000" + hex.EncodeToString(d.Root) + zeros(64-32) + zeros(2) +
		"01000000" + zeros(257) + zeros(3)
	if got := hex.EncodeToString(d.Encode(binary.LittleEndian)); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
