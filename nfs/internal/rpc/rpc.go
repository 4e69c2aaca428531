// Package rpc is ONC RPC version 2 (RFC 5531) as bytes: record marking, call
// and reply headers, and the AUTH_SYS credential. It does no dispatching.
package rpc

import (
	"errors"
	"fmt"

	"github.com/moorage/moorage/nfs/internal/xdr"
)

// Version is the only version of RPC there is.
const Version = 2

// Message types (RFC 5531 §9).
const (
	msgCall  = 0
	msgReply = 1
)

// Authentication flavors (RFC 5531 §8.2 and RFC 2623).
const (
	AuthNone uint32 = 0
	AuthSys  uint32 = 1
)

// AcceptStat is accept_stat of RFC 5531 §9: how an accepted call went.
type AcceptStat uint32

// The values of AcceptStat.
const (
	Success      AcceptStat = 0
	ProgUnavail  AcceptStat = 1
	ProgMismatch AcceptStat = 2
	ProcUnavail  AcceptStat = 3
	GarbageArgs  AcceptStat = 4
	SystemErr    AcceptStat = 5
)

// AuthStat is auth_stat of RFC 5531 §9: why a credential was refused.
type AuthStat uint32

// The values of AuthStat that a server without cryptography has use for.
const (
	AuthOK           AuthStat = 0
	AuthBadCred      AuthStat = 1
	AuthRejectedCred AuthStat = 2
	AuthBadVerf      AuthStat = 3
	AuthRejectedVerf AuthStat = 4
	AuthTooWeak      AuthStat = 5
)

// The bounds of RFC 5531 §8.2 and of AUTH_SYS in its appendix A.
const (
	MaxAuthBody    = 400
	MaxMachineName = 255
	MaxGroups      = 16
)

// ErrNotCall means that a message is no call at all, so there is nothing to answer.
var ErrNotCall = errors.New("rpc: not a call")

// Auth is opaque_auth: a flavor and its data, which share the message.
type Auth struct {
	Flavor uint32
	Body   []byte
}

// Call is the header of a call.
type Call struct {
	XID        uint32
	RPCVersion uint32
	Prog       uint32
	Vers       uint32
	Proc       uint32
	Cred       Auth
	Verf       Auth
}

// HeaderError says that a call can only be refused, and with which reply.
type HeaderError struct {
	Mismatch bool     // the RPC version: answer with AppendRPCMismatch
	Auth     AuthStat // if not AuthOK: answer with AppendAuthError
	// With neither, the header ends early: answer with GarbageArgs.
}

// Error names the refusal.
func (e *HeaderError) Error() string {
	switch {
	case e.Mismatch:
		return "rpc: unknown RPC version"
	case e.Auth != AuthOK:
		return fmt.Sprintf("rpc: authentication refused (%d)", e.Auth)
	}
	return "rpc: call header too short"
}

// Decode reads the header off d and leaves d at the arguments. The error is
// ErrNotCall or a *HeaderError; with the latter XID is valid.
func (c *Call) Decode(d *xdr.Decoder) error {
	c.XID = d.Uint32()
	if typ := d.Uint32(); typ != msgCall || d.Err() != nil {
		return ErrNotCall
	}
	c.RPCVersion = d.Uint32()
	if d.Err() == nil && c.RPCVersion != Version {
		return &HeaderError{Mismatch: true}
	}
	c.Prog, c.Vers, c.Proc = d.Uint32(), d.Uint32(), d.Uint32()
	if !c.Cred.decode(d) {
		return refuse(d, AuthBadCred)
	}
	if !c.Verf.decode(d) {
		return refuse(d, AuthBadVerf)
	}
	return nil
}

// refuse tells a body over its limit from a message that ends.
func refuse(d *xdr.Decoder, limit AuthStat) error {
	if errors.Is(d.Err(), xdr.ErrLimit) {
		return &HeaderError{Auth: limit}
	}
	return &HeaderError{}
}

func (a *Auth) decode(d *xdr.Decoder) bool {
	a.Flavor = d.Uint32()
	a.Body = d.Opaque(MaxAuthBody)
	return d.Err() == nil
}

// Append is the inverse of Decode.
func (c *Call) Append(b []byte) []byte {
	b = xdr.AppendUint32(b, c.XID)
	b = xdr.AppendUint32(b, msgCall)
	b = xdr.AppendUint32(b, c.RPCVersion)
	b = xdr.AppendUint32(b, c.Prog)
	b = xdr.AppendUint32(b, c.Vers)
	b = xdr.AppendUint32(b, c.Proc)
	b = xdr.AppendOpaque(xdr.AppendUint32(b, c.Cred.Flavor), c.Cred.Body)
	return xdr.AppendOpaque(xdr.AppendUint32(b, c.Verf.Flavor), c.Verf.Body)
}

// SysCred is authsys_parms, the body of an AUTH_SYS credential.
type SysCred struct {
	Stamp   uint32
	Machine []byte // shares the message
	UID     uint32
	GID     uint32
	NGroups int
	Groups  [MaxGroups]uint32
}

// Decode reads the body; the error is non-nil if it breaks a bound or if
// anything follows it.
func (s *SysCred) Decode(body []byte) error {
	d := xdr.NewDecoder(body)
	s.decode(&d)
	return d.Done()
}

func (s *SysCred) decode(d *xdr.Decoder) {
	s.Stamp = d.Uint32()
	s.Machine = d.Opaque(MaxMachineName)
	s.UID, s.GID = d.Uint32(), d.Uint32()
	n := d.Uint32()
	if n > MaxGroups {
		d.Fail(xdr.ErrLimit)
		return
	}
	s.NGroups = int(n)
	for i := range s.NGroups {
		s.Groups[i] = d.Uint32()
	}
}

// Append is the inverse of Decode.
func (s *SysCred) Append(b []byte) []byte {
	b = xdr.AppendUint32(b, s.Stamp)
	b = xdr.AppendOpaque(b, s.Machine)
	b = xdr.AppendUint32(b, s.UID)
	b = xdr.AppendUint32(b, s.GID)
	b = xdr.AppendUint32(b, uint32(s.NGroups))
	for _, g := range s.Groups[:s.NGroups] {
		b = xdr.AppendUint32(b, g)
	}
	return b
}
