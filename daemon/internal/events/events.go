// Package events passes the present state of all drives on to whoever watches.
// A reader that is slow misses states in between, never the last one, and
// holds nobody up.
package events

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/moorage/moorage/daemon/api"
)

// Hub knows the last state of every drive. The zero Hub works; its methods may
// be called concurrently and never wait.
type Hub struct {
	mu     sync.Mutex
	seq    uint64
	drives map[string]api.Event
	about  *api.Event // the service; nil: not told yet
	subs   map[*Subscription]struct{}
}

// Put tells that d is new or has changed. d must not be changed afterwards.
func (h *Hub) Put(d api.Drive) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	e := api.Event{Seq: h.seq, Kind: api.DriveChanged, Drive: &d}
	if h.drives == nil {
		h.drives = make(map[string]api.Event)
	}
	h.drives[d.Name] = e
	h.send(d.Name, e)
}

// Remove tells that there is no drive name any more.
func (h *Hub) Remove(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.drives[name]; !ok {
		return
	}
	delete(h.drives, name)
	h.seq++
	h.send(name, api.Event{Seq: h.seq, Kind: api.DriveRemoved, Drive: &api.Drive{Name: name}})
}

// serviceKey stands for the service where drives have their names, of which it is none.
const serviceKey = "\x00service"

// PutService tells that the service is not what it was. s must not be changed
// afterwards.
func (h *Hub) PutService(s api.Service) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	h.about = &api.Event{Seq: h.seq, Kind: api.ServiceChanged, Service: &s}
	h.send(serviceKey, *h.about)
}

func (h *Hub) send(name string, e api.Event) {
	for s := range h.subs {
		s.put(name, e)
	}
}

// Subscription delivers events to one reader.
type Subscription struct {
	h    *Hub
	wake chan struct{} // capacity 1

	mu    sync.Mutex
	queue []string // names in pend, oldest first; "" is Ready
	pend  map[string]api.Event
}

// Subscribe starts with one event for the service, if it was told of, one for each
// present drive, by name, and Ready.
// The caller calls Close.
func (h *Hub) Subscribe() *Subscription {
	s := &Subscription{h: h, wake: make(chan struct{}, 1), pend: make(map[string]api.Event)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.about != nil {
		s.put(serviceKey, *h.about)
	}
	for _, n := range slices.Sorted(maps.Keys(h.drives)) {
		s.put(n, h.drives[n])
	}
	s.put("", api.Event{Seq: h.seq, Kind: api.Ready})
	if h.subs == nil {
		h.subs = make(map[*Subscription]struct{})
	}
	h.subs[s] = struct{}{}
	return s
}

func (s *Subscription) put(name string, e api.Event) {
	s.mu.Lock()
	if _, ok := s.pend[name]; !ok {
		s.queue = append(s.queue, name)
	}
	s.pend[name] = e
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Next waits for an event; the error is ctx's.
func (s *Subscription) Next(ctx context.Context) (api.Event, error) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 {
			n := s.queue[0]
			s.queue = s.queue[1:]
			e := s.pend[n]
			delete(s.pend, n)
			s.mu.Unlock()
			return e, nil
		}
		s.mu.Unlock()
		select {
		case <-s.wake:
		case <-ctx.Done():
			return api.Event{}, ctx.Err()
		}
	}
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	delete(s.h.subs, s)
}
