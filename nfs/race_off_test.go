//go:build !race

package nfs_test

// raceSlow is how much longer things may take with the race detector.
const raceSlow = 1
