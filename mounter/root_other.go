//go:build !linux

package mounter

import "time"

// patience is how long a person may take to type a password: nobody is asked for one.
func patience() time.Duration { return 0 }
