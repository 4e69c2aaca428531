// Package security checks in user-mode Linux, with a system bus and polkit, that users
// mount without a password, and that nobody else gets in.
package security
