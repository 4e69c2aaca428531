package reader

import "time"

const (
	minPart   = 256 << 10 // bytes of one request that runs ahead, on a slow link
	usualPart = 1 << 20   // on others
	maxPart   = 8 << 20   // on those that are far and fast
	maxWindow = 128 << 20

	startParallel = 4                // requests that run ahead at a time, at first
	probeRest     = 10 * time.Second // before more at a time are tried again, after that brought nothing
	maxHold       = 30 * time.Second // a longer pause that a remote asks for is passed on to readers
	maxPause      = time.Hour        // a longer one is not believed
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
	part := min(max(up(pipe*3/n), least), maxPart)
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
// brings more, back to what brought as much when it does not, and down by half
// when the remote asks for fewer. A number is judged by one round of requests,
// after a round that began with another number.
type ahead struct {
	limit   int       // at this time
	base    int       // what is known to be of use; less than limit during a try
	rate    float64   // that base brings, in bytes per second; 0: not known
	flow    float64   // requests at a time, in the mean, that this took
	careful bool      // one more at a time, because more brought nothing before
	rest    time.Time // no try before
	bounded bool      // more would have run, in this round

	settled bool // the round counts
	start   time.Time
	bytes   int64
	ended   int       // requests
	area    float64   // requests under way times seconds
	last    time.Time // up to which area counts
}

// round begins one; counts says that it is to be judged.
func (a *ahead) round(now time.Time, counts bool) {
	a.settled, a.start, a.bytes, a.ended, a.bounded = counts, now, 0, 0, false
	a.area, a.last = 0, now
}

// set changes the limit and what is known.
func (a *ahead) set(now time.Time, limit, base int, rate, flow float64) {
	a.limit, a.base, a.rate, a.flow = limit, base, rate, flow
	a.round(now, false)
}

// pass notes that n requests were under way until now.
func (a *ahead) pass(now time.Time, n int) {
	a.area += float64(n) * now.Sub(a.last).Seconds()
	a.last = now
}

// done notes the end of a request.
func (a *ahead) done(now time.Time, most int) {
	a.ended++
	span := now.Sub(a.start)
	if a.ended < a.limit || span < minSpan {
		return
	}
	if !a.settled || !a.bounded {
		a.round(now, true)
		return
	}
	rate, flow := float64(a.bytes)/span.Seconds(), a.area/span.Seconds()
	switch {
	case a.limit > a.base && rate < a.rate*(1+max(flow/a.flow-1, 0.1)/2):
		// Less than half of what as many more could bring.
		a.careful = true
		a.rest = now.Add(probeRest)
		a.set(now, a.base, a.base, a.rate, a.flow)
	case a.limit == a.base && now.Before(a.rest):
		a.round(now, true)
	default:
		step := 1
		if !a.careful {
			step = max(a.limit/2, 1)
		}
		if a.limit >= most {
			a.rest = now.Add(probeRest)
		}
		a.set(now, min(a.limit+step, most), a.limit, rate, flow)
	}
}

// refused notes that the remote asked for fewer requests.
func (c *Controller) refused(now time.Time, after time.Duration, err error) {
	if now.Sub(c.halved) >= halveRest {
		c.halved = now
		c.most = max(c.most/2, 1)
		n := max(c.ahead.limit/2, 1)
		c.ahead.set(now, n, n, 0, 0)
		c.ahead.careful = true
		c.ahead.rest = now.Add(probeRest)
		c.refusals++
	}
	if after <= 0 {
		after = min(500*time.Millisecond<<min(c.refusals, 8), maxHold)
	}
	if until := now.Add(min(after, maxPause)); until.After(c.pause) {
		c.pause, c.pauseErr = until, err
		c.arm(until)
	}
	c.answered = 0
}

// granted notes that a request went well: after enough of them, one more at a
// time is tried again.
func (c *Controller) granted(now time.Time) {
	c.ahead.done(now, max(c.most-c.most/4, 1))
	c.answered++
	if c.most < c.o.Parallel && c.answered >= 4*c.most {
		c.answered = 0
		c.most++
		c.refusals = 0
		if n := c.ahead.limit + 1; n <= min(startParallel, c.most) {
			c.ahead.set(now, n, n, 0, 0)
		}
	}
}
