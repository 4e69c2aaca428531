package nfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
	"github.com/moorage/moorage/nfs/nfstest"
)

const (
	nfsProg   = wire.NFSProgram
	mountProg = wire.MountProgram
)

// rawReply is a reply taken apart.
type rawReply struct {
	rpc.Reply
	accept  rpc.AcceptStat
	results []byte
}

// status is the first word of the results.
func (r rawReply) status() nfs.Status {
	d := xdr.NewDecoder(r.results)
	return nfs.Status(d.Uint32())
}

// rpcHeader is a call's header without xid; nil bodies are AUTH_NONE, others
// AUTH_SYS.
func rpcHeader(prog, vers, proc uint32, cred, verf []byte) []byte {
	h := rpc.Call{RPCVersion: 2, Prog: prog, Vers: vers, Proc: proc}
	if cred != nil {
		h.Cred = rpc.Auth{Flavor: rpc.AuthSys, Body: cred}
	}
	if verf != nil {
		h.Verf = rpc.Auth{Flavor: rpc.AuthSys, Body: verf}
	}
	return h.Append(nil)[4:]
}

func (e *env) rawCall(header, args []byte) rawReply {
	e.t.Helper()
	b := must(e.c.RawCall(e.ctx, append(bytes.Clone(header), args...)))(e.t)
	d := xdr.NewDecoder(b)
	var r rawReply
	if err := r.Decode(&d); err != nil {
		e.t.Fatalf("a reply that does not decode: %v, %x", err, b)
	}
	r.accept, r.results = r.Accept, d.Rest()
	if (r.Denied || r.Accept != rpc.Success) && len(r.results) != 0 {
		e.t.Errorf("a refusal with results: %x", b)
	}
	return r
}

func lookupArgs(dir nfstest.Handle, name string) []byte {
	return (&wire.DirOp{Dir: dir, Name: []byte(name)}).Append(nil)
}

func writeArgs(h nfstest.Handle, off uint64, count, stable uint32, data []byte) []byte {
	return (&wire.WriteArgs{Handle: h, Offset: off, Count: count, Stable: stable, Data: data}).Append(nil)
}

// TestRefusals: every call that cannot be done has its answer in RFC 5531, and
// the connection goes on.
func TestRefusals(t *testing.T) {
	e := start(t, nil)
	words := func(n int) []byte { return make([]byte, 4*n) }
	sys := (&rpc.SysCred{Machine: []byte("host"), NGroups: 1}).Append(nil)
	manyGroups := xdr.AppendUint32((&rpc.SysCred{}).Append(nil)[:16], 17)
	accepted := func(stat rpc.AcceptStat) rpc.Reply { return rpc.Reply{Accept: stat} }
	denied := func(stat rpc.AuthStat) rpc.Reply { return rpc.Reply{Denied: true, Auth: stat} }
	otherFlavor := func(flavor uint32) []byte {
		h := rpc.Call{RPCVersion: 2, Prog: nfsProg, Vers: 3, Cred: rpc.Auth{Flavor: flavor, Body: words(2)}}
		return h.Append(nil)[4:]
	}
	rpcVersion := func(v uint32) []byte {
		h := rpc.Call{RPCVersion: v, Prog: nfsProg, Vers: 3}
		return h.Append(nil)[4:]
	}
	for _, tc := range []struct {
		name    string
		message []byte
		want    rpc.Reply
	}{
		{"NULL", rpcHeader(nfsProg, 3, 0, nil, nil), accepted(rpc.Success)},
		{"NULL with AUTH_SYS", rpcHeader(nfsProg, 3, 0, sys, nil), accepted(rpc.Success)},
		{"RPC version 1", rpcVersion(1), rpc.Reply{Denied: true, RPCBad: true, Low: 2, High: 2}},
		{"RPC version 3", rpcVersion(3), rpc.Reply{Denied: true, RPCBad: true, Low: 2, High: 2}},
		{"portmapper", rpcHeader(100000, 2, 0, nil, nil), accepted(rpc.ProgUnavail)},
		{"NFSACL", rpcHeader(100227, 3, 1, nil, nil), accepted(rpc.ProgUnavail)},
		{"NLM", rpcHeader(100021, 4, 0, nil, nil), accepted(rpc.ProgUnavail)},
		{"program 2^32-1", rpcHeader(0xffffffff, 3, 0, nil, nil), accepted(rpc.ProgUnavail)},
		{"NFS version 2", rpcHeader(nfsProg, 2, 0, nil, nil), rpc.Reply{Accept: rpc.ProgMismatch, Low: 3, High: 3}},
		{"NFS version 4", rpcHeader(nfsProg, 4, 1, nil, nil), rpc.Reply{Accept: rpc.ProgMismatch, Low: 3, High: 3}},
		{"MOUNT version 0", rpcHeader(mountProg, 0, 1, nil, nil), rpc.Reply{Accept: rpc.ProgMismatch, Low: 1, High: 3}},
		{"MOUNT version 2", rpcHeader(mountProg, 2, 1, nil, nil), rpc.Reply{Accept: rpc.ProgMismatch, Low: 1, High: 3}},
		{"MOUNT version 4", rpcHeader(mountProg, 4, 1, nil, nil), rpc.Reply{Accept: rpc.ProgMismatch, Low: 1, High: 3}},
		{"procedure 22", rpcHeader(nfsProg, 3, 22, nil, nil), accepted(rpc.ProcUnavail)},
		{"procedure 2^32-1", rpcHeader(nfsProg, 3, 0xffffffff, nil, nil), accepted(rpc.ProcUnavail)},
		{"MOUNT procedure 6", rpcHeader(mountProg, 3, 6, nil, nil), accepted(rpc.ProcUnavail)},
		{"MOUNT 1 MNT", rpcHeader(mountProg, 1, 1, nil, nil), accepted(rpc.ProcUnavail)},
		{"MOUNT 1 procedure 6", rpcHeader(mountProg, 1, 6, nil, nil), accepted(rpc.ProcUnavail)},
		{"credential of 404 bytes", rpcHeader(nfsProg, 3, 0, words(101), nil), denied(rpc.AuthBadCred)},
		{"verifier of 404 bytes", rpcHeader(nfsProg, 3, 0, nil, words(101)), denied(rpc.AuthBadVerf)},
		{"empty AUTH_SYS", rpcHeader(nfsProg, 3, 0, []byte{}, nil), denied(rpc.AuthBadCred)},
		{"AUTH_SYS of 17 groups", rpcHeader(nfsProg, 3, 0, append(manyGroups, words(17)...), nil), denied(rpc.AuthBadCred)},
		{"AUTH_SYS with trailing bytes", rpcHeader(nfsProg, 3, 0, append(bytes.Clone(sys), 0, 0, 0, 0), nil), denied(rpc.AuthBadCred)},
		{"AUTH_SYS with a name of 256", rpcHeader(nfsProg, 3, 0, (&rpc.SysCred{Machine: words(64)}).Append(nil), nil), denied(rpc.AuthBadCred)},
		{"AUTH_SHORT", otherFlavor(2), denied(rpc.AuthTooWeak)},
		{"AUTH_DH", otherFlavor(3), denied(rpc.AuthTooWeak)},
		{"RPCSEC_GSS", otherFlavor(6), denied(rpc.AuthTooWeak)},
		{"a call that ends behind its type", words(1), accepted(rpc.GarbageArgs)},
		{"a header cut in the credential", rpcHeader(nfsProg, 3, 0, sys, nil)[:32], accepted(rpc.GarbageArgs)},
		{"NULL with arguments", append(rpcHeader(nfsProg, 3, 0, nil, nil), 0, 0, 0, 0), accepted(rpc.GarbageArgs)},
	} {
		got := e.rawCall(tc.message, nil)
		got.XID = 0
		if fmt.Sprint(got.Reply) != fmt.Sprint(tc.want) {
			t.Errorf("%s: %+v, want %+v", tc.name, got.Reply, tc.want)
		}
	}
	if err := e.c.Null(e.ctx); err != nil {
		t.Error("the connection does not go on:", err)
	}
}

// sampleArgs are good arguments for every procedure that takes some.
func sampleArgs(h nfstest.Handle) map[[3]uint32][]byte {
	op := wire.DirOp{Dir: h, Name: []byte("name")}
	path := &wire.MountPath{Path: []byte("/drive")}
	set := wire.Sattr{AtimeHow: 2, MtimeHow: 2}
	all := map[[3]uint32][]byte{}
	for proc, m := range map[uint32]wire.Message{
		1: &wire.HandleArgs{Handle: h}, 2: &wire.SetattrArgs{Handle: h, Set: set, Guard: true}, 3: &op,
		4: &wire.AccessArgs{Handle: h}, 5: &wire.HandleArgs{Handle: h}, 6: &wire.ReadArgs{Handle: h, Count: 4},
		7: &wire.WriteArgs{Handle: h, Count: 4, Data: []byte("data")}, 8: &wire.CreateArgs{Where: op, Set: set},
		9: &wire.MkdirArgs{Where: op}, 10: &wire.SymlinkArgs{Where: op, Target: []byte("to")}, 11: &wire.MknodArgs{Where: op, Type: 3},
		12: &op, 13: &op, 14: &wire.RenameArgs{From: op, To: op}, 15: &wire.LinkArgs{Handle: h, To: op},
		16: &wire.ReaddirArgs{Dir: h, Count: 4096}, 17: &wire.ReaddirplusArgs{Dir: h, DirCount: 4096, MaxCount: 4096},
		18: &wire.HandleArgs{Handle: h}, 19: &wire.HandleArgs{Handle: h}, 20: &wire.HandleArgs{Handle: h}, 21: &wire.CommitArgs{Handle: h},
	} {
		all[[3]uint32{nfsProg, 3, proc}] = m.Append(nil)
	}
	all[[3]uint32{mountProg, 3, wire.MountMnt}] = path.Append(nil)
	all[[3]uint32{mountProg, 3, wire.MountUmnt}] = path.Append(nil)
	all[[3]uint32{mountProg, 1, wire.MountUmnt}] = path.Append(nil)
	for _, void := range []uint32{wire.MountDump, wire.MountUmntall, wire.MountExport} {
		all[[3]uint32{mountProg, 3, void}] = nil
		all[[3]uint32{mountProg, 1, void}] = nil
	}
	return all
}

// TestGarbage cuts the arguments of every procedure at every word, and adds a
// word to them.
func TestGarbage(t *testing.T) {
	e := start(t, nil)
	for p, args := range sampleArgs(e.root) {
		header := e.c.Header(p[0], p[1], p[2])
		if r := e.rawCall(header, args); r.Err() != nil {
			t.Errorf("%v: %v", p, r.Err())
		}
		e.fs.called("")
		for n := 0; n < len(args); n += 4 {
			if r := e.rawCall(header, args[:n]); r.Denied || r.accept != rpc.GarbageArgs {
				t.Errorf("%v, %d of %d bytes: %v", p, n, len(args), r.Err())
			}
		}
		if r := e.rawCall(header, append(bytes.Clone(args), 0, 0, 0, 0)); r.Denied || r.accept != rpc.GarbageArgs {
			t.Errorf("%v with a word too many: %v", p, r.Err())
		}
		if len(e.fs.calls) > 0 {
			t.Errorf("%v: the file system was asked: %v", p, e.fs.calls)
		}
	}
}

// TestDiscriminants: enumerations and booleans have the values of RFC 1813 only.
func TestDiscriminants(t *testing.T) {
	e := start(t, nil)
	put := func(b []byte, at int, v uint32) []byte {
		b = bytes.Clone(b)
		if at < 0 {
			at += len(b)
		}
		copy(b[at:], xdr.AppendUint32(nil, v))
		return b
	}
	h := e.root // 36 bytes with its length
	op := wire.DirOp{Dir: h, Name: []byte("name")}
	set := (&wire.SetattrArgs{Handle: h}).Append(nil)
	create := (&wire.CreateArgs{Where: op}).Append(nil)
	for _, tc := range []struct {
		name string
		proc uint32
		args []byte
	}{
		{"stable_how 3", 7, put(writeArgs(h, 0, 4, 0, []byte("data")), 36+8+4, 3)},
		{"createmode 3", 8, put(create, 36+8, 3)},
		{"set_mode 2", 2, put(set, 36, 2)},
		{"atime 3", 2, put(set, 36+16, 3)},
		{"mtime 2^32-1", 2, put(set, 36+20, 0xffffffff)},
		{"guard 2", 2, put(set, -4, 2)},
		{"a handle of 65 bytes", 1, append(xdr.AppendUint32(nil, 65), make([]byte, 68)...)},
		{"a handle of 2^31 bytes", 1, append(xdr.AppendUint32(nil, 1<<31), h...)},
		{"a name of 2^32-1 bytes", 3, append(xdr.AppendUint32(xdr.AppendOpaque(nil, h), 0xffffffff), "name"...)},
		{"data of 2^32-4 bytes", 7, append(writeArgs(h, 0, 0xfffffffc, 0, nil)[:36+16], 0xff, 0xff, 0xff, 0xfc)},
	} {
		if r := e.rawCall(e.c.Header(nfsProg, 3, tc.proc), tc.args); r.Denied || r.accept != rpc.GarbageArgs {
			t.Errorf("%s: %v, %v", tc.name, r.Err(), r.status())
		}
	}
	if len(e.fs.calls) != 0 {
		t.Errorf("the file system was asked: %v", e.fs.calls)
	}
}

// TestPanic: a file system that panics costs its own call only.
func TestPanic(t *testing.T) {
	e := start(t, nil)
	h := e.handle("file")
	e.fs.on(func(_ context.Context, method string) error {
		if method == "Read" {
			panic("on purpose")
		}
		return nil
	})
	for range 3 {
		_, err := e.c.Read(e.ctx, h, 0, 100_000)
		var refused *nfstest.CallError
		if !errors.As(err, &refused) || refused.Reply.Accept != rpc.SystemErr {
			t.Fatalf("%v, want SYSTEM_ERR", err)
		}
	}
	e.fs.on(nil)
	if r := must(e.c.Read(e.ctx, h, 0, 10))(t); string(r.Data) != fakeData {
		t.Errorf("afterwards: %+v", r)
	}
	if err := e.srv.Unexport("/drive"); err != nil {
		t.Errorf("the calls are still counted: %v", err)
	}
}
