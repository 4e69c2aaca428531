package ui

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
)

// columns puts a list and what belongs to its chosen line beside each other.
type columns struct{ first float32 } // share of the width that the first has

const columnGap = 6

func (c columns) MinSize(objects []fyne.CanvasObject) fyne.Size {
	a, b := objects[0].MinSize(), objects[1].MinSize()
	return fyne.NewSize(a.Width+columnGap+b.Width, max(a.Height, b.Height))
}

func (c columns) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	a, b := objects[0], objects[1]
	room := size.Width - columnGap
	width := max(min(room*c.first, room-b.MinSize().Width), a.MinSize().Width)
	a.Move(fyne.NewPos(0, 0))
	a.Resize(fyne.NewSize(width, size.Height))
	b.Move(fyne.NewPos(width+columnGap, 0))
	b.Resize(fyne.NewSize(room-width, size.Height))
}

// card is the ground of a row or pane. It follows the theme.
type card struct {
	widget.BaseWidget
	rect *canvas.Rectangle
	edge float32 // width of an edge that marks it; 0: it is not marked
	over bool    // the pointer is over it
}

func newCard() *card {
	c := &card{rect: canvas.NewRectangle(paint(colorCard))}
	c.rect.CornerRadius = 12
	c.ExtendBaseWidget(c)
	return c
}

func (c *card) mark(edge float32) {
	c.edge = edge
	c.Refresh()
}

func (c *card) hover(over bool) {
	c.over = over
	c.Refresh()
}

func (c *card) Refresh() {
	c.rect.FillColor = paint(colorCard)
	if c.over {
		c.rect.FillColor = paint(colorHover)
	}
	c.rect.StrokeColor, c.rect.StrokeWidth = paint(colorEdge), 1
	if c.edge > 0 {
		c.rect.StrokeColor, c.rect.StrokeWidth = paint(theme.ColorNamePrimary), c.edge
	}
	c.BaseWidget.Refresh()
}

func (c *card) CreateRenderer() fyne.WidgetRenderer {
	c.rect.StrokeColor, c.rect.StrokeWidth = paint(colorEdge), 1
	return widget.NewSimpleRenderer(c.rect)
}
