package rpc

import (
	"fmt"

	"github.com/moorage/moorage/nfs/internal/xdr"
)

// reply_stat and reject_stat of RFC 5531 §9.
const (
	msgAccepted = 0
	msgDenied   = 1

	rejectMismatch = 0
	rejectAuth     = 1
)

// ReplySize is the size of what AppendAccepted writes.
const ReplySize = 24

// AppendAccepted starts the reply to an accepted call, with an empty verifier.
// After Success the results follow; after ProgMismatch the lowest and the
// highest version; after the others nothing.
func AppendAccepted(b []byte, xid uint32, stat AcceptStat) []byte {
	b = xdr.AppendUint32(b, xid)
	b = xdr.AppendUint32(b, msgReply)
	b = xdr.AppendUint32(b, msgAccepted)
	b = xdr.AppendUint32(b, AuthNone)
	b = xdr.AppendUint32(b, 0)
	return xdr.AppendUint32(b, uint32(stat))
}

// AppendRPCMismatch refuses an RPC version.
func AppendRPCMismatch(b []byte, xid uint32) []byte {
	b = appendDenied(b, xid, rejectMismatch)
	b = xdr.AppendUint32(b, Version)
	return xdr.AppendUint32(b, Version)
}

// AppendAuthError refuses a credential or verifier.
func AppendAuthError(b []byte, xid uint32, stat AuthStat) []byte {
	return xdr.AppendUint32(appendDenied(b, xid, rejectAuth), uint32(stat))
}

func appendDenied(b []byte, xid, why uint32) []byte {
	b = xdr.AppendUint32(b, xid)
	b = xdr.AppendUint32(b, msgReply)
	b = xdr.AppendUint32(b, msgDenied)
	return xdr.AppendUint32(b, why)
}

// Reply is the header of a reply, as a client sees it.
type Reply struct {
	XID       uint32
	Denied    bool
	Verf      Auth // of an accepted call
	Accept    AcceptStat
	RPCBad    bool     // denied for the RPC version
	Auth      AuthStat // otherwise denied for this
	Low, High uint32   // of ProgMismatch and RPCBad
}

// Decode reads the header off d and leaves d at the results.
func (r *Reply) Decode(d *xdr.Decoder) error {
	r.XID = d.Uint32()
	if typ := d.Uint32(); d.Err() == nil && typ != msgReply {
		d.Fail(xdr.ErrValue)
	}
	r.Denied = d.Enum(msgDenied) == msgDenied
	if r.Denied {
		if r.RPCBad = d.Enum(rejectAuth) == rejectMismatch; r.RPCBad {
			r.Low, r.High = d.Uint32(), d.Uint32()
		} else {
			r.Auth = AuthStat(d.Uint32())
		}
		return d.Done()
	}
	if r.Verf.decode(d) {
		r.Accept = AcceptStat(d.Enum(uint32(SystemErr)))
	}
	switch r.Accept {
	case Success:
		return d.Err()
	case ProgMismatch:
		r.Low, r.High = d.Uint32(), d.Uint32()
	}
	return d.Done()
}

// Append is the inverse of Decode.
func (r *Reply) Append(b []byte) []byte {
	if r.Denied {
		if r.RPCBad {
			b = appendDenied(b, r.XID, rejectMismatch)
			return xdr.AppendUint32(xdr.AppendUint32(b, r.Low), r.High)
		}
		return AppendAuthError(b, r.XID, r.Auth)
	}
	b = xdr.AppendUint32(b, r.XID)
	b = xdr.AppendUint32(b, msgReply)
	b = xdr.AppendUint32(b, msgAccepted)
	b = xdr.AppendOpaque(xdr.AppendUint32(b, r.Verf.Flavor), r.Verf.Body)
	b = xdr.AppendUint32(b, uint32(r.Accept))
	if r.Accept == ProgMismatch {
		b = xdr.AppendUint32(xdr.AppendUint32(b, r.Low), r.High)
	}
	return b
}

// Err is what the header says as an error: nil if the call succeeded.
func (r *Reply) Err() error {
	if !r.Denied && r.Accept == Success {
		return nil
	}
	return &CallError{Reply: *r}
}

// CallError is a call that RPC itself refused.
type CallError struct{ Reply Reply }

// Error names the refusal in the words of RFC 5531.
func (e *CallError) Error() string {
	r := &e.Reply
	switch {
	case r.Denied && r.RPCBad:
		return fmt.Sprintf("rpc: RPC_MISMATCH(%d,%d)", r.Low, r.High)
	case r.Denied:
		return fmt.Sprintf("rpc: AUTH_ERROR(%d)", r.Auth)
	case r.Accept == ProgMismatch:
		return fmt.Sprintf("rpc: PROG_MISMATCH(%d,%d)", r.Low, r.High)
	}
	return "rpc: " + [...]string{"SUCCESS", "PROG_UNAVAIL", "PROG_MISMATCH", "PROC_UNAVAIL", "GARBAGE_ARGS", "SYSTEM_ERR"}[r.Accept]
}
