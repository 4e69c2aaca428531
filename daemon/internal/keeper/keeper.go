// Package keeper keeps the listeners of mounted drives in a small process of its own,
// where no mount helper does: a service that is killed and started again is a pause of
// its drives then, and nobody else can take their ports meanwhile.
//
// A client sends one request on a connection, a line of JSON, and gets one answer: a
// line of JSON, with the listener's descriptor beside it if it asked for one.
package keeper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

var (
	// ErrUnsupported means that this system has no keeper.
	ErrUnsupported = errors.New("listeners cannot be kept by another process here")
	// ErrNoKeeper means that none runs.
	ErrNoKeeper = errors.New("no process keeps listeners")
	// ErrRefused means that the keeper has no such listener and cannot open it.
	ErrRefused = errors.New("the keeper has no listener for the drive")

	errRequest = errors.New("not a request")
)

const (
	maxLine   = 512 // bytes of a request or answer
	maxName   = 128 // bytes of a drive's id
	maxDrives = 4096
)

// request asks for the listener of a drive, or no longer needs it.
type request struct {
	Drive string `json:"drive"`
	Port  uint16 `json:"port,omitempty"` // of a listener that has to be opened; 0: any
	Drop  bool   `json:"drop,omitempty"`
}

// answer is what became of it.
type answer struct {
	Error string `json:"error,omitempty"` // for the log
}

func decodeRequest(line []byte) (request, error) {
	var q request
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return q, fmt.Errorf("%w: %w", errRequest, err)
	}
	if q.Drive == "" || len(q.Drive) > maxName {
		return q, fmt.Errorf("%w: no drive", errRequest)
	}
	return q, nil
}

// readLine reads the line that a connection begins with.
func readLine(r io.Reader) ([]byte, error) {
	b := make([]byte, 0, maxLine)
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			return b[:i], nil
		}
		switch {
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case len(b) == cap(b):
			return nil, fmt.Errorf("%w: too long", errRequest)
		}
	}
}
