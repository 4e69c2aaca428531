package assets_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moorage/moorage/assets"
)

func TestIconsDecode(t *testing.T) {
	for name, side := range map[string]int{
		"moorage": 256, "tray-idle": 64, "tray-busy": 64, "tray-attention": 64, "tray-offline": 64,
		"kind-folder": 96, "kind-git": 96, "kind-mem": 96, "kind-model": 96, "kind-bucket": 96, "kind-server": 96,
		"kind-cloud": 96, "kind-web": 96,
	} {
		b, ok := assets.Icon(name)
		if !ok {
			t.Errorf("no icon %s", name)
			continue
		}
		img, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if img.Bounds().Dx() != side || img.Bounds().Dy() != side {
			t.Errorf("%s is %v, want %d square", name, img.Bounds(), side)
		}
		if _, err := os.Stat(filepath.Join("icons", name+".svg")); err != nil {
			t.Errorf("the source of %s: %v", name, err)
		}
	}
	if _, ok := assets.Icon("none"); ok {
		t.Error("an icon that there is not")
	}
}

// TestEveryTextIsThereAndUsed reads the app's sources: a key without a text
// shows as a key, and a text without a use is translated for nothing.
func TestEveryTextIsThereAndUsed(t *testing.T) {
	texts, err := assets.English()
	if err != nil {
		t.Fatal(err)
	}
	literals := map[string]bool{}
	err = filepath.WalkDir(filepath.Join("..", "app"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if s, err := strconv.Unquote(l.Value); err == nil {
					literals[s] = true
				}
			}
			if c, ok := n.(*ast.CallExpr); ok && len(c.Args) > 0 {
				checkCall(t, texts, path, c)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key := range texts {
		used := literals[key] || literals[strings.TrimSuffix(strings.TrimSuffix(key, ".one"), ".many")]
		if i := strings.LastIndexByte(key, '.'); !used && i >= 0 {
			used = literals[key[:i+1]] // completed by what the service says
		}
		if !used {
			t.Errorf("text %q is not used", key)
		}
	}
}

// checkCall looks at calls of Get and Count with a literal key.
func checkCall(t *testing.T, texts assets.Texts, path string, c *ast.CallExpr) {
	f, ok := c.Fun.(*ast.SelectorExpr)
	l, lit := c.Args[0].(*ast.BasicLit)
	if !ok || !lit || l.Kind != token.STRING {
		return
	}
	key, err := strconv.Unquote(l.Value)
	if err != nil || !strings.Contains(key, ".") && f.Sel.Name == "Get" && key != "no" {
		return
	}
	switch f.Sel.Name {
	case "Get":
		if _, ok := texts[key]; !ok {
			t.Errorf("%s: no text %q", path, key)
		}
		if want := strings.Count(texts[key], "%"); want != len(c.Args)-1 {
			t.Errorf("%s: %q takes %d arguments and gets %d", path, key, want, len(c.Args)-1)
		}
	case "Count":
		if _, ok := texts[key+".many"]; !ok {
			t.Errorf("%s: no text %q", path, key+".many")
		}
	}
}

// TestLanguages: each language has all texts of English and no others, and each text
// takes what the English one takes.
func TestLanguages(t *testing.T) {
	english, err := assets.English()
	if err != nil {
		t.Fatal(err)
	}
	verbs := regexp.MustCompile(`%(?:\[(\d+)\])?[a-z]`)
	takes := func(text string) []string {
		var all []string
		for i, m := range verbs.FindAllStringSubmatch(text, -1) {
			n := strconv.Itoa(i + 1)
			if m[1] != "" {
				n = m[1]
			}
			all = append(all, n+m[0][len(m[0])-1:])
		}
		slices.Sort(all)
		return all
	}
	for _, language := range assets.Languages() {
		b, err := os.ReadFile(filepath.Join("text", language+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var own assets.Texts
		if err := json.Unmarshal(b, &own); err != nil {
			t.Fatalf("%s: %v", language, err)
		}
		for key, text := range own {
			if want, ok := english[key]; !ok {
				t.Errorf("%s: there is no text %q", language, key)
			} else if !slices.Equal(takes(text), takes(want)) {
				t.Errorf("%s: %q takes %v, and in English %v", language, key, takes(text), takes(want))
			}
		}
		for key := range english {
			if _, ok := own[key]; !ok && !(strings.HasSuffix(key, ".one") && (language == "ja" || language == "zh")) {
				t.Errorf("%s: no text %q", language, key)
			}
		}
	}
}

func TestFor(t *testing.T) {
	for locale, want := range map[string]string{
		"de-AT": "1 Laufwerk", "de_DE.UTF-8": "1 Laufwerk", "fr": "1 lecteur", "ja-JP": "ドライブ 1 台", "zh-Hans-CN": "1 个驱动器",
		"en-GB": "1 drive", "C": "1 drive", "": "1 drive", "xx": "1 drive", "../en": "1 drive",
	} {
		texts, err := assets.For(locale)
		if err != nil {
			t.Fatal(err)
		}
		if got := texts.Count("summary.drives", 1); got != want {
			t.Errorf("%q: %q, want %q", locale, got, want)
		}
	}
}

func TestTexts(t *testing.T) {
	texts := assets.Texts{"a": "A", "b": "B %d %s", "c.one": "one", "c.many": "%d of them", "d.many": "%d, %s"}
	for got, want := range map[string]string{
		texts.Get("a"): "A", texts.Get("b", 1, "x"): "B 1 x", texts.Get("missing"): "missing",
		texts.Count("c", 1): "one", texts.Count("c", 0): "0 of them", texts.Count("d", 1, "x"): "1, x",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
