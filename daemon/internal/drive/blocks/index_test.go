package blocks

import (
	"math/rand/v2"
	"testing"
)

// The index agrees with a map after any changes.
func TestIndex(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	x := newIndex()
	type version struct {
		blocks  int64
		extents map[uint32]int64 // nil: not big
	}
	m := map[id]*version{}
	random := func() id { return id{rng.Uint64N(300), rng.Uint64N(4)} }
	for step := range 40000 {
		i := random()
		v := m[i]
		switch rng.IntN(8) {
		default:
			if v == nil {
				v = &version{blocks: rng.Int64N(20)}
				if rng.IntN(3) == 0 {
					v.extents = map[uint32]int64{}
				}
				m[i] = v
				x.add(i, v.extents != nil, v.blocks, 0)
			}
		case 3:
			delete(m, i)
			x.drop(i)
		case 4:
			if v != nil && v.extents != nil {
				e, n := rng.Uint32N(5), rng.Int64N(100)
				if _, ok := v.extents[e]; !ok {
					v.extents[e] = n
					x.addExtent(x.find(i), e, n, 0)
				}
			}
		case 5:
			if v != nil && v.extents != nil {
				e := rng.Uint32N(5)
				delete(v.extents, e)
				if empty := x.dropExtent(x.find(i), e); empty != (len(v.extents) == 0) {
					t.Fatalf("%v: the last extent was dropped: %v", i, empty)
				}
			}
		case 6:
			if v != nil {
				x.touch(x.find(i), uint8(step))
				by := rng.Int64N(30) - 10
				by = max(by, -v.blocks)
				v.blocks += by
				x.charge(x.find(i), by)
			}
		case 7:
			r := x.victim()
			if r == 0 {
				break
			}
			n := *x.at(r)
			if n.flags&flagBig != 0 {
				t.Fatal("a version with extents is a victim itself")
			}
			switch {
			case rng.IntN(2) == 0:
				x.push(uint8(queueSmall+rng.IntN(3)), r)
			case n.flags&flagExtent != 0:
				delete(m[n.id].extents, n.extent)
				x.dropExtent(x.find(n.id), n.extent)
				x.bury(&n)
			default:
				delete(m, n.id)
				x.drop(n.id)
				x.bury(&n)
			}
		}
		if step%500 != 0 {
			continue
		}
		var blocks int64
		nodes := 0
		for i, v := range m {
			r := x.find(i)
			if r == 0 || int64(x.at(r).blocks) != v.blocks {
				t.Fatalf("step %d: %v is not right", step, i)
			}
			blocks += v.blocks
			if v.extents == nil {
				nodes++
			}
			for e, n := range v.extents {
				nodes++
				blocks += n
				if r := x.extent(r, e); r == 0 || int64(x.at(r).blocks) != n {
					t.Fatalf("step %d: extent %d of %v is not right", step, e, i)
				}
			}
		}
		if x.blocks != blocks || x.heads != len(m) {
			t.Fatalf("step %d: %d blocks of %d versions, not %d of %d", step, x.blocks, x.heads, blocks, len(m))
		}
		queued := 0
		for q := range x.queues {
			var blocks int64
			n, last := 0, ref(0)
			for r := x.queues[q].first; r != 0; last, r = r, x.at(r).next {
				if x.at(r).prev != last || int(x.at(r).queue) != q {
					t.Fatalf("step %d: a queue is broken", step)
				}
				n++
				blocks += int64(x.at(r).blocks)
			}
			if x.queues[q].last != last || x.queues[q].n != n && q != queueNone || x.queues[q].blocks != blocks && q != queueNone {
				t.Fatalf("step %d: queue %d does not add up", step, q)
			}
			queued += n
		}
		if queued != nodes {
			t.Fatalf("step %d: %d nodes are queued, not %d", step, queued, nodes)
		}
		for object := range uint64(300) {
			n := 0
			for v := range uint64(4) {
				if m[id{object, v}] != nil {
					n++
				}
			}
			if got := x.versions(nil, object); len(got) != n {
				t.Fatalf("step %d: %d versions of %d, not %d", step, len(got), object, n)
			}
		}
	}
}
