// Package crash kills the service again and again in user-mode Linux while programs
// work on its drives, mounted for an ordinary user by the mount helper: a folder, and
// the bucket of an S3 server. No program may notice, and nothing is mounted anew.
//
// With MOORAGE_TEST_LONG=1 in the environment it is killed 50 times for each drive, and a
// mount that is dead is waited for.
package crash
