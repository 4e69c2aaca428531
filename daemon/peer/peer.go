// Package peer tells whether the program at the other end of a local
// connection belongs to the same user as this one.
package peer

import "errors"

// ErrForeign is the error for a connection whose other end belongs to another
// user. Root is another user, too.
var ErrForeign = errors.New("the other end belongs to another user")
