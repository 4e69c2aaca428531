package main

import (
	"os"
	"os/exec"
)

func setGroup(*exec.Cmd) {}

func endGroup(p *os.Process, _ bool) { p.Kill() }
