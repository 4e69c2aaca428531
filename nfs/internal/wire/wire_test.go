package wire

import (
	"bytes"
	"testing"

	"github.com/moorage/moorage/nfs/internal/xdr"
)

// The fuzzer's numbers of the first procedures of each program: NFS is at 0.
const (
	mount3     = NumProcs
	mount1     = mount3 + NumMount
	pmap2      = mount1 + NumMount
	rpcb3      = pmap2 + NumPmap
	rpcb4      = rpcb3 + NumRpcb
	procedures = rpcb4 + NumRpcb
)

// procedure is the procedure that the fuzzer calls n.
func procedure(n uint8) (prog, vers, proc uint32) {
	switch {
	case n < mount3:
		return NFSProgram, NFSVersion, uint32(n)
	case n < mount1:
		return MountProgram, MountV3, uint32(n - mount3)
	case n < pmap2:
		return MountProgram, MountV1, uint32(n - mount1)
	case n < rpcb3:
		return PortmapProgram, PortmapV2, uint32(n - pmap2)
	case n < rpcb4:
		return PortmapProgram, RPCBindV3, uint32(n - rpcb3)
	}
	return PortmapProgram, RPCBindV4, uint32(n - rpcb4)
}

var (
	h    = bytes.Repeat([]byte{0xab}, 32)
	set  = Sattr{SetMode: true, Mode: 0o644, SetUID: true, SetGID: true, SetSize: true, Size: 9, AtimeHow: ClientTime, Atime: Time{1, 2}, MtimeHow: ServerTime}
	attr = PostAttr{Has: true, Attr: Fattr{Type: 1, Mode: 0o600, Nlink: 1, Size: 5, FileID: 7, Mtime: Time{3, 4}}}
	wcc  = Wcc{HasBefore: true, Before: PreAttr{Size: 4, Mtime: Time{1, 1}}, After: attr}
	op   = DirOp{h, []byte("name")}
	rpcb = Rpcb{NFSProgram, 3, []byte("tcp"), []byte("127.0.0.1.8.1"), []byte("moorage")}
	pmap = Mapping{NFSProgram, 3, ProtoTCP, 2049}
)

// sampleArgs and sampleResults have every optional part once.
func sampleArgs() map[uint8][]Message {
	return map[uint8][]Message{
		ProcGetattr: {&HandleArgs{h}}, ProcSetattr: {&SetattrArgs{h, set, true, Time{5, 6}}},
		ProcLookup: {&op}, ProcAccess: {&AccessArgs{h, 63}}, ProcReadlink: {&HandleArgs{h}},
		ProcRead: {&ReadArgs{h, 1 << 40, 4096}}, ProcWrite: {&WriteArgs{h, 1, 5, 2, []byte("12345")}},
		ProcCreate: {&CreateArgs{Where: op, Mode: 1, Set: set}, &CreateArgs{Where: op, Mode: 2, Verf: [8]byte{1, 2}}},
		ProcMkdir:  {&MkdirArgs{op, set}}, ProcSymlink: {&SymlinkArgs{op, set, []byte("to")}},
		ProcMknod:  {&MknodArgs{op, 3, set, 1, 2}, &MknodArgs{op, 7, set, 0, 0}, &MknodArgs{Where: op, Type: 1}},
		ProcRemove: {&op}, ProcRmdir: {&op}, ProcRename: {&RenameArgs{op, op}}, ProcLink: {&LinkArgs{h, op}},
		ProcReaddir: {&ReaddirArgs{h, 3, [8]byte{}, 4096}}, ProcReaddirplus: {&ReaddirplusArgs{h, 3, [8]byte{}, 512, 4096}},
		ProcFsstat: {&HandleArgs{h}}, ProcFsinfo: {&HandleArgs{h}}, ProcPathconf: {&HandleArgs{h}},
		ProcCommit:        {&CommitArgs{h, 7, 8}},
		mount3 + MountMnt: {&MountPath{[]byte("/x")}}, mount3 + MountUmnt: {&MountPath{[]byte("/x")}},
		mount1 + MountUmnt: {&MountPath{[]byte("/x")}},
		pmap2 + PmapSet:    {&pmap}, pmap2 + PmapUnset: {&pmap}, pmap2 + PmapGetport: {&pmap},
		rpcb3 + RpcbSet: {&rpcb}, rpcb3 + RpcbUnset: {&rpcb}, rpcb3 + RpcbGetaddr: {&rpcb, &Rpcb{}},
		rpcb4 + RpcbSet: {&rpcb}, rpcb4 + RpcbUnset: {&rpcb}, rpcb4 + RpcbGetaddr: {&rpcb}, rpcb4 + RpcbGetversaddr: {&rpcb},
	}
}

func sampleResults() map[uint8][]Message {
	entry := DirEntry{FileID: 7, Name: []byte("name"), Cookie: 3}
	plus := entry
	plus.Attr, plus.Handle = attr, PostHandle{true, h}
	return map[uint8][]Message{
		ProcGetattr: {&GetattrResult{Attr: attr.Attr}, &GetattrResult{Status: 70}},
		ProcSetattr: {&WccResult{0, wcc}, &WccResult{Status: 1}},
		ProcLookup:  {&LookupResult{Handle: h, Attr: attr, Dir: attr}, &LookupResult{Status: 2, Dir: attr}},
		ProcAccess:  {&AccessResult{Attr: attr, Access: 3}, &AccessResult{Status: 5}},
		ProcReadlink: {&ReadlinkResult{Attr: attr, Target: []byte("to")},
			&ReadlinkResult{Status: 22}},
		ProcRead:   {&ReadResult{Attr: attr, Count: 3, EOF: true, Data: []byte("abc")}, &ReadResult{Status: 5}},
		ProcWrite:  {&WriteResult{Wcc: wcc, Count: 3, Committed: 2, Verf: [8]byte{1}}, &WriteResult{Status: 28, Wcc: wcc}},
		ProcCreate: {&NewResult{Handle: PostHandle{true, h}, Attr: attr, Dir: wcc}, &NewResult{Status: 17, Dir: wcc}},
		ProcMkdir:  {&NewResult{Dir: wcc}}, ProcSymlink: {&NewResult{Dir: wcc}}, ProcMknod: {&NewResult{Dir: wcc}},
		ProcRemove: {&WccResult{0, wcc}}, ProcRmdir: {&WccResult{0, wcc}}, ProcRename: {&RenameResult{0, wcc, wcc}},
		ProcLink:        {&LinkResult{0, attr, wcc}},
		ProcReaddir:     {&ReaddirResult{Attr: attr, Entries: []DirEntry{entry, entry}, EOF: true}, &ReaddirResult{Status: 20}},
		ProcReaddirplus: {&ReaddirResult{Plus: true, Attr: attr, Entries: []DirEntry{plus, entry}}},
		ProcFsstat:      {&FsstatResult{Attr: attr, TotalBytes: 9, Invarsec: 1}, &FsstatResult{Status: 70}},
		ProcFsinfo:      {&FsinfoResult{Attr: attr, RtMax: 9, Properties: 27}, &FsinfoResult{Status: 70}},
		ProcPathconf:    {&PathconfResult{Attr: attr, LinkMax: 9, NoTrunc: true}, &PathconfResult{Status: 70}},
		ProcCommit:      {&CommitResult{Wcc: wcc, Verf: [8]byte{1}}, &CommitResult{Status: 5}},
		mount3 + MountMnt: {&MntResult{Handle: h, Flavors: []uint32{1, 0}},
			&MntResult{Status: 13}},
		mount3 + MountDump:      {&DumpResult{[]MountEntry{{[]byte("host"), []byte("/x")}}}},
		mount3 + MountExport:    {&ExportResult{[]ExportEntry{{Path: []byte("/x"), Groups: [][]byte{[]byte("g")}}, {Path: []byte("/y")}}}},
		pmap2 + PmapSet:         {&Bool{true}, &Bool{}},
		pmap2 + PmapGetport:     {&Number{2049}},
		pmap2 + PmapDump:        {&Mappings{[]Mapping{pmap, {}}}},
		rpcb3 + RpcbGetaddr:     {&Uaddr{rpcb.Addr}, &Uaddr{}},
		rpcb3 + RpcbDump:        {&Rpcbs{[]Rpcb{rpcb, {}}}},
		rpcb3 + RpcbGettime:     {&Number{1 << 30}},
		rpcb4 + RpcbUnset:       {&Bool{true}},
		rpcb4 + RpcbGetversaddr: {&Uaddr{rpcb.Addr}},
	}
}

func fuzzIdentity(f *testing.F, samples map[uint8][]Message, empty func(prog, vers, proc uint32) Message) {
	for n := range uint8(procedures) {
		for _, m := range samples[n] {
			f.Add(n, m.Append(nil))
		}
		f.Add(n, []byte{})
	}
	f.Fuzz(func(t *testing.T, n uint8, in []byte) {
		prog, vers, proc := procedure(n % procedures)
		m := empty(prog, vers, proc)
		if m == nil {
			return
		}
		d := xdr.NewDecoder(in)
		if m.Decode(&d); d.Done() != nil || !d.Canonical() {
			return
		}
		if got := m.Append(nil); !bytes.Equal(got, in) {
			t.Errorf("program %d version %d procedure %d: %x becomes %x", prog, vers, proc, in, got)
		}
	})
}

// FuzzArgs checks the arguments of every procedure: what decodes is encoded to
// the same bytes.
func FuzzArgs(f *testing.F) { fuzzIdentity(f, sampleArgs(), NewArgs) }

// FuzzResults checks the results of every procedure in the same way.
func FuzzResults(f *testing.F) { fuzzIdentity(f, sampleResults(), NewResults) }

// TestSamplesDecode makes sure that the samples are what the fuzzers start
// from: each decodes wholly, and not if it is cut short or has a word too many.
func TestSamplesDecode(t *testing.T) {
	check := func(samples map[uint8][]Message, empty func(prog, vers, proc uint32) Message) {
		for n, messages := range samples {
			for _, m := range messages {
				b := m.Append(nil)
				for _, size := range []int{len(b), len(b) - 4, len(b) + 4} {
					d := xdr.NewDecoder(append(bytes.Clone(b), 0, 0, 0, 0)[:size])
					m := empty(procedure(n))
					m.Decode(&d)
					if ok := d.Done() == nil; ok != (size == len(b)) {
						t.Errorf("procedure %d, %d of %d bytes: %v", n, size, len(b), d.Err())
					}
				}
			}
		}
	}
	check(sampleArgs(), NewArgs)
	check(sampleResults(), NewResults)
}
