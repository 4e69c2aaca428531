package deps

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is the module's folder.
const root = "../../.."

var (
	tableRow   = regexp.MustCompile(`(?m)^\| ([0-9]+) \| ([^|]+) \|`)
	ruleTest   = regexp.MustCompile(`(?m)^func (TestRule([0-9]{2})[A-Z][A-Za-z0-9]*)\(`)
	guestCheck = regexp.MustCompile(`(?m)^check "(rule ([0-9]+): [^"]+)"`)
)

// TestEveryRuleHasATest reads the rules of SECURITY.md and looks for their tests: Go
// tests that begin with TestRule and the number, and checks of guest scripts that
// begin with "rule" and the number. With -v it prints which there are.
func TestEveryRuleHasATest(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := make(map[int][]string)
	rows := tableRow.FindAllStringSubmatch(string(text), -1)
	for i, row := range rows {
		n, _ := strconv.Atoi(row[1])
		if n != i+1 {
			t.Errorf("row %d of SECURITY.md has number %d", i+1, n)
		}
		tests[n] = nil
	}
	if len(rows) != 14 {
		t.Fatalf("SECURITY.md has %d rules, not 14", len(rows))
	}
	found := func(number, what string) {
		n, _ := strconv.Atoi(number)
		if _, ok := tests[n]; !ok {
			t.Errorf("%s is for a rule that SECURITY.md does not have", what)
		}
		tests[n] = append(tests[n], what)
	}
	err = filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		where := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(p), root+string(filepath.Separator)))
		switch {
		case e.IsDir() && strings.HasPrefix(e.Name(), ".") && p != root:
			return filepath.SkipDir
		case e.IsDir():
		case strings.HasSuffix(p, "_test.go"):
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			for _, m := range ruleTest.FindAllSubmatch(b, -1) {
				found(string(m[2]), where+" "+string(m[1]))
			}
		case strings.HasSuffix(p, ".sh") && strings.HasSuffix(where, "kerneltest/security/testdata"):
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			for _, m := range guestCheck.FindAllSubmatch(b, -1) {
				found(string(m[2]), strings.TrimSuffix(where, "/testdata")+" "+string(m[1]))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var list strings.Builder
	for i, row := range rows {
		n := i + 1
		if len(tests[n]) == 0 {
			t.Errorf("rule %d has no test: %s", n, row[2])
		}
		slices.Sort(tests[n])
		fmt.Fprintf(&list, "\nrule %d: %s\n    %s", n, strings.TrimSpace(row[2]), strings.Join(tests[n], "\n    "))
	}
	t.Log(list.String())
}
