// Package fsx does random work on files through a mount and compares what it
// reads with a model in memory: reads, writes, mappings, truncates, appends,
// O_DIRECT, fsync, dropped caches, files that are opened again and renamed, and
// what can be seen past the mount.
//
// A seed gives the same steps again.
package fsx
