package main

import (
	"slices"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"
)

// notifications is the desktop's service that shows them.
type notifications struct {
	mu   sync.Mutex
	told []string // title: text
}

// notifications takes that place on the session bus.
func (s *session) notifications() *notifications {
	s.t.Helper()
	n := &notifications{}
	const name = "org.freedesktop.Notifications"
	if err := s.bus.Export(n, "/org/freedesktop/Notifications", name); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.bus.RequestName(name, dbus.NameFlagDoNotQueue); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// Notify is called over the bus.
func (n *notifications) Notify(_ string, _ uint32, _, title, text string, _ []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = append(n.told, title+": "+text)
	return uint32(len(n.told)), nil
}

func (n *notifications) list() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.told)
}

// count is how many have part in them.
func (n *notifications) count(part string) (found int) {
	for _, t := range n.list() {
		if strings.Contains(t, part) {
			found++
		}
	}
	return found
}
