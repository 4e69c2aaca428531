package helper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/moorage/moorage/mounter/helper/protocol"
)

// maxRequest bounds what Once reads.
const maxRequest = 64 << 10

// Once does one thing for c, whom somebody has let run this program as root. There
// is no namespace: the drive's server listens on this computer's own loopback, and
// looks after itself.
func Once(o Options, c Caller, in io.Reader, out io.Writer) error {
	err := once(o, c, in)
	a := protocol.Answer{}
	var e *protocol.Error
	switch {
	case errors.As(err, &e):
		a = protocol.Answer{Kind: e.Kind, What: e.Error()}
	case err != nil:
		a = protocol.Answer{Kind: protocol.Failed, What: err.Error()}
	}
	return json.NewEncoder(out).Encode(a)
}

func once(o Options, c Caller, in io.Reader) error {
	var q protocol.Request
	d := json.NewDecoder(io.LimitReader(in, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return &protocol.Error{Kind: protocol.BadRequest, What: "The request cannot be read.", Err: err}
	}
	switch {
	case q.Mount != nil && q.Unmount == "" && q.Port != 0:
		if err := validSpec(*q.Mount); err != nil {
			return err
		}
		_, err := mount(o, uncounted, c, *q.Mount, q.Port, false)
		return err
	case q.Mount == nil && q.Unmount != "":
		return onceUnmount(o, c, q.Unmount, q.Force)
	}
	return badRequest("verb")
}

func onceUnmount(o Options, c Caller, dir string, force bool) error {
	table, err := o.System.Table()
	if err != nil {
		return failed("read the table of mounts", err)
	}
	all, err := o.Records.Load()
	if err != nil {
		return fmt.Errorf("read the records: %w", err)
	}
	for _, r := range all {
		if e, there := find(table, r); !there || r.UID != c.UID || e.Point != dir {
			continue
		}
		if err := unmount(o, uncounted, c, r, table, force); err != nil {
			return err
		}
		o.Records.Remove(r)
		return nil
	}
	return notMounted()
}

// uncounted is for a process that does one thing.
func uncounted() func() { return func() {} }
