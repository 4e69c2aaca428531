package reader

import "time"

const (
	minPart   = 256 << 10
	usualPart = 1 << 20
	maxPart   = 8 << 20
	maxWindow = 128 << 20

	startParallel = 4                // requests that run ahead at a time, at first
	probeGain     = 1.07             // what one request more at a time must bring
	probeRest     = 10 * time.Second // before trying again after it did not
	maxHold       = 30 * time.Second // a longer pause that a remote asks for is passed on to readers
	halveRest     = time.Second      // refusals within are one
)

// limits are what streams may do at this time.
type limits struct {
	part   int64 // bytes of one request that runs ahead
	under  int64 // bytes of a stream that may be under way
	window int64 // bytes ahead of a reader
}

// limits follow from what was learned. The link is busy as long as more is
// under way than it holds, which is what is learned, and a part for each
// request that ends and begins anew.
func (c *Controller) limits() limits {
	pipe := c.meter.pipe()
	least := int64(usualPart)
	if c.meter.bw > 0 { // on a slow link, a part would hold up all others
		least = min(max(down(int64(c.meter.bw/4)), minPart), usualPart)
	}
	least = max(least, min(down(c.o.Preferred), maxPart))
	n := int64(c.ahead.limit)
	part := min(max(up(pipe*2/n), least), maxPart)
	streams := int64(0)
	for s := range c.live {
		if s.window >= firstAhead {
			streams++
		}
	}
	streams = max(streams, 1)
	under := max(max(pipe*2+part, n*part)/streams, part)
	// One request may be far behind the others, which go on meanwhile.
	window := min(2*under, maxWindow)
	if most := down(c.o.Budget.limit / 2 / streams); window > most {
		window = max(most, minPart)
		part = min(part, max(down(window/2), minPart))
	}
	return limits{part: part, under: under, window: window}
}

// gap is how many bytes it takes no longer to fetch than to leave out.
func (c *Controller) gap() int64 { return min(down(c.meter.pipe()), maxSkip) }

// ahead says how many requests may run ahead at a time. It goes up while that
// brings more, and down by half when the remote asks for fewer.
type ahead struct {
	limit   int       // at this time
	base    int       // that are known to bring rate
	rate    float64   // bytes per second
	rest    time.Time // no try before
	bounded bool      // more would have run since the last rate
}

// tune judges a rate that was measured.
func (a *ahead) tune(now time.Time, rate float64, most int) {
	bounded := a.bounded
	a.bounded = false
	switch {
	case !bounded:
	case a.limit > a.base && rate < a.rate*probeGain:
		a.limit = a.base
		a.rest = now.Add(probeRest)
	case a.limit > a.base:
		a.base, a.rate = a.limit, rate
		a.limit = min(a.limit+1, most)
	case now.Before(a.rest):
		a.rate += (rate - a.rate) / 4
	default:
		a.rate = max(rate, a.rate*0.9)
		a.limit = min(a.base+1, most)
	}
}

// refused notes that the remote asked for fewer requests.
func (c *Controller) refused(now time.Time, after time.Duration, err error) {
	if now.Sub(c.halved) >= halveRest {
		c.halved = now
		c.most = max(c.most/2, 1)
		c.ahead.limit = max(c.ahead.limit/2, 1)
		c.ahead.base, c.ahead.rate = c.ahead.limit, 0
		c.ahead.rest = now.Add(probeRest)
		c.refusals++
	}
	if after <= 0 {
		after = min(500*time.Millisecond<<min(c.refusals, 8), maxHold)
	}
	if until := now.Add(after); until.After(c.pause) {
		c.pause, c.pauseErr = until, err
		c.arm(until)
	}
	c.answered = 0
}

// granted notes that a request went well: after enough of them, one more at a
// time is tried again.
func (c *Controller) granted() {
	c.answered++
	if c.most < c.o.Parallel && c.answered >= 4*c.most {
		c.answered = 0
		c.most++
		c.refusals = 0
		if c.ahead.limit < min(startParallel, c.most) {
			c.ahead.limit++
			c.ahead.base = c.ahead.limit
		}
	}
}
