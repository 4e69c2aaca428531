package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/diskfile"
	"github.com/moorage/moorage/daemon/internal/problem"
)

// pauseFile says in the state folder that transfers are paused, also over a restart.
func (s *Service) pauseFile() string { return filepath.Join(s.o.Places.State, "pause.json") }

const maxPauseFile = 4 << 10

// loadPause is the pause that an earlier service was in; nil: none. A file that cannot
// be read is none.
func (s *Service) loadPause() *api.Pause {
	b, err := diskfile.Read(s.pauseFile(), maxPauseFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var p api.Pause
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		err = d.Decode(&p)
	}
	if err != nil {
		s.o.Logger.Error("it cannot be told whether transfers were paused; they are not", "err", err)
		return nil
	}
	return &p
}

// setPause is called with pausing held, or before anybody else could.
func (s *Service) setPause(p *api.Pause) {
	s.mu.Lock()
	s.pause = p
	s.mu.Unlock()
	s.m.Pause(p != nil)
	s.hub.PutService(s.info())
}

func (s *Service) paused() *api.Pause {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pause
}

// PauseTransfers implements control.Setup, as the next one.
func (s *Service) PauseTransfers(r api.PauseTransfers) (api.Service, error) {
	now := time.Now()
	if !r.Until.IsZero() && !r.Until.After(now) {
		return api.Service{}, problem.New(api.ExitUsage, api.CodeBadRequest, fmt.Sprintf("Transfers cannot be paused until %s, which is over.", r.Until.Format(time.DateTime)), "", "Give a later time.")
	}
	s.pausing.Lock()
	defer s.pausing.Unlock()
	p := &api.Pause{Since: now.Round(0).UTC(), Until: r.Until}
	if old := s.paused(); old != nil {
		p.Since = old.Since
	}
	b, err := json.Marshal(p)
	if err == nil {
		err = diskfile.Write(s.pauseFile(), b)
	}
	if err != nil {
		return api.Service{}, problem.Of(fmt.Errorf("note that transfers are paused: %w", err), "the service")
	}
	s.setPause(p)
	select {
	case s.repaused <- struct{}{}:
	default:
	}
	s.o.Logger.Info("transfers are paused", "until", r.Until)
	return s.info(), nil
}

// ResumeTransfers ends a pause.
func (s *Service) ResumeTransfers() (api.Service, error) {
	s.pausing.Lock()
	defer s.pausing.Unlock()
	if err := os.Remove(s.pauseFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return api.Service{}, problem.Of(fmt.Errorf("note that transfers go on: %w", err), "the service")
	}
	if s.paused() != nil {
		s.setPause(nil)
		s.o.Logger.Info("transfers go on")
	}
	return s.info(), nil
}

// pauseLook is the longest time after which it is looked at the clock again, which a
// timer does not follow: the computer may sleep, and its clock may be set.
const pauseLook = time.Minute

// endPauses ends a pause when its time has come, until ctx is done.
func (s *Service) endPauses(ctx context.Context) {
	for {
		wait := pauseLook
		if p := s.paused(); p != nil && !p.Until.IsZero() {
			wait = min(wait, time.Until(p.Until.Round(0)))
			if wait <= 0 {
				wait = pauseLook // if it fails
				if _, err := s.ResumeTransfers(); err != nil {
					s.o.Logger.Error("the pause cannot be ended", "err", err)
				}
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.repaused:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}
