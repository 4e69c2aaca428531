//go:build !race

package model

// usual is how many cycles there are if nothing else is asked for.
const usual = 600
