// Package assets holds what the app shows: its icons and its texts.
package assets

import (
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

//go:embed icons/*.png text/*.json
var files embed.FS

// Icon returns the PNG of an icon, such as "moorage" (256 pixels wide),
// "kind-git" (96) or "tray-idle" (64), and whether there is one. The tray of
// Linux takes nothing but PNG, and the toolkit draws less of SVG than we use;
// render.sh makes them from the SVG files beside them.
func Icon(name string) ([]byte, bool) {
	b, err := files.ReadFile("icons/" + name + ".png")
	return b, err == nil
}

// Texts are the sentences and labels of one language, by key.
type Texts map[string]string

// English returns the texts in English.
func English() (Texts, error) { return read("en") }

func read(language string) (Texts, error) {
	b, err := files.ReadFile("text/" + language + ".json")
	if err != nil {
		return nil, fmt.Errorf("read texts: %w", err)
	}
	var t Texts
	if err := json.Unmarshal(b, &t); err != nil {
		return nil, fmt.Errorf("read texts: %w", err)
	}
	return t, nil
}

// Languages are those that there are texts in, as BCP 47 tags.
func Languages() []string { return []string{"de", "en", "es", "fr", "ja", "zh"} }

// For returns the texts in the language of a locale, such as "de-AT", "zh_CN.UTF-8"
// or "C"; English where there is none of it. What a language has no text for is in
// English too.
func For(locale string) (Texts, error) {
	t, err := English()
	language, _, _ := strings.Cut(strings.ToLower(locale), "_")
	language, _, _ = strings.Cut(language, "-")
	if err != nil || language == "en" || !slices.Contains(Languages(), language) {
		return t, err
	}
	own, err := read(language)
	if err != nil {
		return nil, err
	}
	for key, text := range own {
		t[key] = text
		// A language without a form for one thing has none from English.
		if one, ok := strings.CutSuffix(key, ".many"); ok && own[one+".one"] == "" {
			delete(t, one+".one")
		}
	}
	return t, nil
}

// Get returns the text of key, with args put into it as fmt.Sprintf does. A
// key without a text gives the key, so that a missing one shows and does no
// harm.
func (t Texts) Get(key string, args ...any) string {
	s, ok := t[key]
	if !ok {
		return key
	}
	if len(args) == 0 {
		return s
	}
	return fmt.Sprintf(s, args...)
}

// Count returns the text of key for n things: key.one where n is 1 and there
// is such a text, else key.many with n as its first argument.
func (t Texts) Count(key string, n int, args ...any) string {
	if _, ok := t[key+".one"]; ok && n == 1 {
		return t.Get(key+".one", args...)
	}
	return t.Get(key+".many", append([]any{n}, args...)...)
}
