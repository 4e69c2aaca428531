package ui

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"
)

// Colours that the toolkit has no name for.
const (
	colorCard  fyne.ThemeColorName = "moorageCard"
	colorHover fyne.ThemeColorName = "moorageHover" // of a card under the pointer
	colorEdge  fyne.ThemeColorName = "moorageEdge"
)

// Look is whether the app is light or dark.
type Look string

// The looks.
const (
	LookOfDesktop Look = "system"
	LookLight     Look = "light"
	LookDark      Look = "dark"
)

// lookOrder is that in which they are offered.
var lookOrder = [...]Look{LookOfDesktop, LookLight, LookDark}

// Theme is the app in the colours of water and rope, otherwise the toolkit's own.
type Theme struct {
	fyne.Theme
	look Look
}

// NewTheme returns the theme of a look; any other than those above is that of the
// desktop.
func NewTheme(look Look) *Theme { return &Theme{theme.DefaultTheme(), look} }

func rgb(v uint32) color.Color {
	return color.NRGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 0xff}
}

func rgba(v uint32) color.Color {
	return color.NRGBA{R: uint8(v >> 24), G: uint8(v >> 16), B: uint8(v >> 8), A: uint8(v)}
}

// Color returns the colour of name; what we have no opinion on is the
// toolkit's.
func (t *Theme) Color(name fyne.ThemeColorName, variant fyne.ThemeVariant) color.Color {
	switch t.look {
	case LookLight:
		variant = theme.VariantLight
	case LookDark:
		variant = theme.VariantDark
	}
	if variant == theme.VariantLight {
		switch name {
		case theme.ColorNameBackground:
			return rgb(0xeff3f5)
		case colorCard, theme.ColorNameOverlayBackground, theme.ColorNameMenuBackground:
			return rgb(0xffffff)
		case colorHover:
			return rgb(0xf7fbfc)
		case colorEdge, theme.ColorNameSeparator:
			return rgb(0xd9e1e5)
		case theme.ColorNameForeground:
			return rgb(0x15242c)
		case theme.ColorNamePlaceHolder, theme.ColorNameDisabled: // hints are in the second one
			return rgb(0x5f707a)
		case theme.ColorNamePrimary, theme.ColorNameHyperlink:
			return rgb(0x0f7c90)
		case theme.ColorNameFocus, theme.ColorNameSelection:
			return rgba(0x0f7c9040)
		case theme.ColorNameButton:
			return rgb(0xe6edf0)
		case theme.ColorNameInputBackground:
			return rgb(0xf6f9fa)
		case theme.ColorNameInputBorder:
			return rgb(0x84949d)
		case theme.ColorNameSuccess:
			return rgb(0x2a8f4f)
		case theme.ColorNameWarning:
			return rgb(0xb36b00)
		case theme.ColorNameError:
			return rgb(0xc0392b)
		}
		return t.Theme.Color(name, variant)
	}
	switch name {
	case theme.ColorNameBackground:
		return rgb(0x12191d)
	case colorCard, theme.ColorNameOverlayBackground, theme.ColorNameMenuBackground:
		return rgb(0x1b252b)
	case colorHover:
		return rgb(0x212d34)
	case colorEdge, theme.ColorNameSeparator:
		return rgb(0x2b3941)
	case theme.ColorNameForeground:
		return rgb(0xe8eff2)
	case theme.ColorNamePlaceHolder, theme.ColorNameDisabled:
		return rgb(0x93a5af)
	case theme.ColorNamePrimary, theme.ColorNameHyperlink:
		return rgb(0x33b1c6)
	case theme.ColorNameForegroundOnPrimary:
		return rgb(0x06222a)
	case theme.ColorNameFocus, theme.ColorNameSelection:
		return rgba(0x33b1c650)
	case theme.ColorNameButton:
		return rgb(0x2a3840)
	case theme.ColorNameInputBackground:
		return rgb(0x141d22)
	case theme.ColorNameInputBorder:
		return rgb(0x6f828d)
	case theme.ColorNameSuccess:
		return rgb(0x4cc27a)
	case theme.ColorNameWarning:
		return rgb(0xf0b04a)
	case theme.ColorNameError:
		return rgb(0xf0766a)
	}
	return t.Theme.Color(name, variant)
}

// Size returns the size of name.
func (t *Theme) Size(name fyne.ThemeSizeName) float32 {
	switch name {
	case theme.SizeNameInputRadius, theme.SizeNameSelectionRadius:
		return 7
	case theme.SizeNamePopupRadius:
		return 12
	case theme.SizeNameCaptionText:
		return 12
	}
	return t.Theme.Size(name)
}
