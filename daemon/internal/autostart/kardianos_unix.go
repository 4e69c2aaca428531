//go:build linux || darwin

package autostart

import (
	"errors"

	"github.com/kardianos/service"
)

// library gives what package service knows of the manager of this system; option
// is for that manager.
func library(name, program string, option service.KeyValue) (service.Service, error) {
	option["UserService"] = true
	s, err := service.New(idle{}, &service.Config{Name: name, Description: "Moorage: remote repositories as drives",
		Executable: program, Option: option})
	if errors.Is(err, service.ErrNoServiceSystemDetected) {
		return nil, ErrUnsupported
	}
	return s, err
}

// idle is what package service would run; mooraged runs by itself.
type idle struct{}

func (idle) Start(service.Service) error { return nil }
func (idle) Stop(service.Service) error  { return nil }
