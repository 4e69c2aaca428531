// Package bench measures the drive engine as a person would meet it: a store
// behind a link of 50 ms and 200 Mbit/s, the engine over it, an nfs.Server over
// that, and a client that speaks NFSv3 on the loopback interface. Beside it, in
// the same run and over the same link, are Amazon's own library without anything
// around it, and rclone.
//
// TestTable prints what BENCHMARKS.md of the daemon holds. The other tests are
// its workloads in small; they hold the numbers that no load of the computer
// changes against what is promised: bytes, requests, pages.
package bench
