package reader

import (
	"slices"
	"time"
)

const (
	minSpan  = 100 * time.Millisecond // over which a rate is taken at least
	maxSpan  = 2 * time.Second
	minAge   = 30 * time.Second // for which the shortest delay counts, to twice that
	hedgeMin = 16               // delays that must be known before one can be called late

	leastLate = 25 * time.Millisecond // what a busy computer is late by itself
)

// meter learns the delay and the bandwidth of a remote.
type meter struct {
	rtt    time.Duration // from a request to its first byte, smoothed
	recent [64]time.Duration
	n      int // delays seen

	// The shortest delay of this and the last period: the delay without the
	// queue that requests build up for each other.
	low, lowBefore time.Duration
	turned         time.Time

	bw    float64   // bytes per second
	start time.Time // of the span that is being measured; zero if none is
	bytes int64     // since start
}

// delay notes how long a request's first byte took.
func (m *meter) delay(now time.Time, d time.Duration) {
	m.recent[m.n%len(m.recent)] = d
	m.n++
	if m.rtt == 0 {
		m.rtt = d
	} else {
		m.rtt += (d - m.rtt) / 8
	}
	if now.Sub(m.turned) >= minAge {
		m.turned, m.lowBefore, m.low = now, m.low, 0
	}
	if m.low == 0 || d < m.low {
		m.low = d
	}
}

// base is the delay of a request that nothing stands in line before; 0 if not
// known.
func (m *meter) base() time.Duration {
	if m.lowBefore == 0 || m.low != 0 && m.low < m.lowBefore {
		return m.low
	}
	return m.lowBefore
}

// late is the time without a first byte after which a request is likely to be
// stuck: beyond what 95 of 100 took. 0 if too little is known.
func (m *meter) late() time.Duration {
	if m.n < hedgeMin {
		return 0
	}
	s := slices.Clone(m.recent[:min(m.n, len(m.recent))])
	slices.Sort(s)
	p95 := s[len(s)*95/100]
	return max(p95+p95/4+5*time.Millisecond, leastLate)
}

// arrived notes bytes that came. full says that more were under way than the
// link holds, so that the rate is the link's own and not the readers'.
func (m *meter) arrived(now time.Time, n int64, full bool) {
	if m.start.IsZero() {
		m.start, m.bytes = now, 0 // what came first was under way before
		return
	}
	m.bytes += n
	span := now.Sub(m.start)
	if span < min(max(minSpan, 2*m.base()), maxSpan) {
		return
	}
	rate := float64(m.bytes) / span.Seconds()
	if rate > m.bw {
		m.bw = rate
	} else if full {
		m.bw += (rate - m.bw) / 8
	}
	m.start, m.bytes = now, 0
}

// idle ends a span: nothing is under way.
func (m *meter) idle() { m.start = time.Time{} }

// pipe is how many bytes are under way when the link is busy and nothing
// stands in line; 0 if not known.
func (m *meter) pipe() int64 { return int64(m.bw * m.base().Seconds()) }
