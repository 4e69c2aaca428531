package ui

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/assets"
)

// Icon returns an icon of the assets as the toolkit wants it, or nil if there
// is none of that name.
func Icon(name string) fyne.Resource {
	b, ok := assets.Icon(name)
	if !ok {
		return nil
	}
	return fyne.NewStaticResource(name+".png", b)
}

// verbIcon is what a button for verb shows, or nil.
func verbIcon(v model.Verb) fyne.Resource {
	switch v {
	case model.Mount:
		return theme.MediaPlayIcon()
	case model.Open:
		return theme.FolderOpenIcon()
	case model.Unmount, model.Force:
		return theme.MediaStopIcon()
	case model.SignIn, model.Secrets:
		return theme.LoginIcon()
	case model.Resume:
		return theme.MediaPlayIcon()
	case model.Edit:
		return theme.DocumentCreateIcon()
	case model.Publish:
		return theme.UploadIcon()
	case model.Copy:
		return theme.ContentCopyIcon()
	case model.Remove:
		return theme.DeleteIcon()
	case model.Examine:
		return theme.SearchIcon()
	case model.Reconnect:
		return theme.ViewRefreshIcon()
	}
	return nil
}

// toneLook is how a tone is told: in a colour, which a label has by its importance, and
// by a shape.
func toneLook(t model.Tone) (fyne.ThemeColorName, widget.Importance, fyne.Resource) {
	switch t {
	case model.Good:
		return theme.ColorNameSuccess, widget.SuccessImportance, theme.ConfirmIcon()
	case model.Busy:
		return theme.ColorNamePrimary, widget.HighImportance, theme.ViewRefreshIcon()
	case model.Warn:
		return theme.ColorNameWarning, widget.WarningImportance, theme.WarningIcon()
	case model.Bad:
		return theme.ColorNameError, widget.DangerImportance, theme.ErrorIcon()
	}
	return theme.ColorNamePlaceHolder, widget.LowImportance, theme.RadioButtonIcon()
}

// toneMark is the shape that a tone is told by, in its colour.
func toneMark(t model.Tone) fyne.Resource {
	color, _, mark := toneLook(t)
	return theme.NewColoredResource(mark, color)
}

// paint is the colour of name in the app's look of this moment.
func paint(name fyne.ThemeColorName) color.Color {
	s := fyne.CurrentApp().Settings()
	return s.Theme().Color(name, s.ThemeVariant())
}

// tint is a thin wash of a colour, for the ground under a text.
func tint(name fyne.ThemeColorName) color.Color {
	r, g, b, _ := paint(name).RGBA()
	return color.NRGBA{R: uint8(r >> 8), G: uint8(g >> 8), B: uint8(b >> 8), A: 0x1c}
}

// picture shows an icon of the assets at a fixed size in pixels of the theme.
func picture(name string, side float32) *canvas.Image {
	img := canvas.NewImageFromResource(Icon(name))
	img.FillMode = canvas.ImageFillContain
	img.ScaleMode = canvas.ImageScaleSmooth
	img.SetMinSize(fyne.NewSquareSize(side))
	return img
}
