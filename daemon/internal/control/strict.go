package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// strict decodes b, which must hold exactly one JSON value that has no field
// which in does not have. The error is an *api.Error.
func strict(b []byte, in any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(in); err != nil {
		return badRequest(fmt.Sprintf("The request cannot be understood: %v.", err),
			"Use a Moorage program of the same version as the service.")
	}
	if _, err := d.Token(); err != io.EOF {
		return badRequest("The request holds more than one value.", "")
	}
	return nil
}
