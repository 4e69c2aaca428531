// Package helperclient mounts with the help of moorage-mount-helper, a service of
// the system bus, and without it where it is not there or not needed.
package helperclient
