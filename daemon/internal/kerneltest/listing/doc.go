// Package listing lets a real kernel list a big folder of a slow remote while
// its names arrive: the first ones are there after one page, all come in one
// pass, and what changes on the remote later is seen.
package listing
