package nfs

import (
	"fmt"
	"testing"
)

// TestIDsForget: paths that are used stay, others are forgotten some time, and
// the table never has more than two generations.
func TestIDsForget(t *testing.T) {
	ids := ioIDs{generation: 10}
	used := ioNode{"used", TypeRegular}
	id, first := ids.put(used), ids.put(ioNode{"first", TypeRegular})
	for i := range 1000 {
		n := ioNode{fmt.Sprint("other", i), TypeRegular}
		if got, ok := ids.get(ids.put(n)); !ok || got != n {
			t.Fatalf("%v was found as %v, %v", n, got, ok)
		}
		if got, ok := ids.get(id); !ok || got != used {
			t.Fatalf("after %d others, %v was found as %v, %v", i, used, got, ok)
		}
		if n := len(ids.young) + len(ids.old); n > 20 {
			t.Fatalf("%d paths are kept", n)
		}
	}
	if _, ok := ids.get(first); ok {
		t.Error("a path that nobody used is still kept")
	}
}
