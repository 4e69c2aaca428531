package tray

import (
	"fmt"
	"slices"
	"testing"

	"github.com/moorage/moorage/app/internal/model"
)

// host writes down what it is told.
type host struct{ told []string }

func (h *host) SetIcon(l model.Light) { h.told = append(h.told, "icon "+string(l)) }
func (h *host) SetTooltip(s string)   { h.told = append(h.told, "tooltip "+s) }
func (h *host) SetMenu(items []model.TrayItem) {
	h.told = append(h.told, fmt.Sprint("menu ", len(items)))
}

func TestTheHostIsToldOnlyWhatChanged(t *testing.T) {
	h := &host{}
	tray := New(h)
	item := model.TrayItem{Label: "○ d", Verb: model.Mount, Drive: "d"}
	state := model.Tray{Light: model.Idle, Tooltip: "1 drive", Items: []model.TrayItem{item}}
	step := func(what string, want ...string) {
		t.Helper()
		h.told = nil
		tray.Show(state)
		if !slices.Equal(h.told, want) {
			t.Errorf("%s: told %q, want %q", what, h.told, want)
		}
	}
	step("first", "icon idle", "tooltip 1 drive", "menu 1")
	step("same")
	state.Items = []model.TrayItem{item}
	step("equal items")
	state.Tooltip = "1 drive, busy"
	step("tooltip", "tooltip 1 drive, busy")
	state.Light = model.Working
	step("icon", "icon busy")
	item.Label = "● d"
	state.Items = []model.TrayItem{item, {}}
	step("menu", "menu 2")
	state.Items = nil
	step("no items", "menu 0")
}
