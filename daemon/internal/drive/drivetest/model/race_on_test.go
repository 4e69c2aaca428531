//go:build race

package model

// usual is how many cycles there are if nothing else is asked for: ten times as few
// as without the race detector, which takes ten times as long.
const usual = 60
