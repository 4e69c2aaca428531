package drive

import (
	"testing"
	"time"

	"github.com/moorage/moorage/providers/mem"
)

// A listing takes little longer than asking for its pages one after the other.
func TestListingTakesItsRoundTrips(t *testing.T) {
	if !long() {
		t.Skip("measures time: MOORAGE_TEST_LONG is not set")
	}
	b := newBench(t, mem.New(mem.Options{}))
	b.o.Clock = time.Now
	f := newBigFolder(b, 100_000, 1000)
	f.rtt = 50 * time.Millisecond
	b.open()
	d := b.find("big")
	began := time.Now()
	for cursor := ""; ; {
		page, err := f.ReadDir(t.Context(), "big", cursor)
		if err != nil {
			t.Fatal(err)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	bare := time.Since(began)
	began = time.Now()
	b.wantBig(b.readAll(d.ID, 0), 0, f.n)
	took := time.Since(began)
	t.Logf("%d names: %v, the pages alone %v", f.n, took, bare)
	if took > bare*2 { // of one page at a time it would be more
		t.Errorf("the listing took %.2f times as long as its pages", float64(took)/float64(bare))
	}
}
