package reader

import (
	"slices"
	"time"
)

const (
	reorder    = 2 << 20   // how far from their order reads of one stream come
	maxStreams = 8         // of a file, that run ahead
	maxGuesses = 16        // of a file, that may turn out to be streams
	maxRecent  = 256       // reads of a file that are remembered when their guess is not
	maxRuns    = 16        // of a guess
	sureRun    = 512 << 10 // bytes in a row that make a stream, however they were read
	likelyRun  = 128 << 10 // bytes in a row that do if the last were asked for when the others were there, or from the file's start
	firstAhead = 1 << 20   // the window of a stream that is sure
	smallFile  = 1 << 20   // files up to this size are fetched whole when read from the start
	maxSkip    = 512 << 10 // the largest gap that is fetched rather than left out
	sureSkips  = 6         // short steps ahead in a row after which gaps count as read
)

// run is a piece of a file that was read.
type run struct{ off, end int64 }

// stream is a guess that somebody reads on from a place in a file.
type stream struct {
	f *File

	runs     []run // read lately, in no order, touching none other; the first is the main one
	joins    int   // reads that went on where the main run ended
	latest   int64 // the end of the last read
	skips    int   // reads in a row that began a little behind the end of the one before
	answered int64 // the end of the last read that got its bytes
	readers  int   // reads that wait
	last     time.Time

	// Of a stream that is sure:
	sure   bool
	window int64     // bytes that are wanted ahead of the main run's end
	mark   int64     // where the window doubles
	front  int64     // up to where requests were made
	held   bool      // more would be asked for if less were under way
	pause  time.Time // nothing runs ahead before, because that failed
	fails  int
}

// tail is up to where the stream was read.
func (s *stream) tail() int64 { return s.runs[0].end }

// near says how far a read is from where the stream's next ones are expected; 0
// if it goes on from a run, at its end or in it.
func (s *stream) near(off, end, skip int64) (int64, bool) {
	for _, r := range s.runs {
		slack := int64(0)
		if r.end == s.latest && s.skips >= sureSkips {
			slack = skip
		}
		if off <= r.end+slack && end >= r.off && off >= r.end-reorder {
			return 0, true
		}
	}
	d := off - s.tail()
	if d < 0 {
		d = max(s.tail()-end, 1)
	}
	return d, d <= reorder
}

// add notes a read that is near. skip is the gap that is worth fetching.
func (s *stream) add(off, end, skip int64) {
	if off > s.latest && off <= s.latest+skip {
		if s.skips++; s.skips >= sureSkips {
			off = s.latest
		}
	} else if off != s.latest {
		s.skips = 0
	}
	s.latest = end
	merged, joined := run{off, end}, false
	kept := s.runs[:0]
	for i, r := range s.runs {
		switch {
		case off <= r.end && end >= r.off:
			joined = joined || off >= r.off && end > r.end
			merged.off, merged.end = min(merged.off, r.off), max(merged.end, r.end)
		case i > 0 && r.end < s.runs[0].end-reorder: // far behind
		default:
			kept = append(kept, r)
		}
	}
	// The run that goes on is the main one; a read that goes on from none
	// waits for one that does.
	s.runs = append(kept, merged)
	n := len(s.runs)
	if joined {
		s.runs[0], s.runs[n-1] = s.runs[n-1], s.runs[0]
		s.joins++
	}
	if n > maxRuns {
		s.runs = append(s.runs[:1], s.runs[2:]...)
	}
}

// note tells f's detectors of a read: the stream that it belongs to.
func (f *File) note(now time.Time, off, end int64) *stream {
	skip := f.c.gap()
	var s *stream
	best := int64(-1)
	for _, t := range f.streams {
		if d, ok := t.near(off, end, skip); ok && (best < 0 || d < best) {
			s, best = t, d
		}
	}
	old := s
	if best != 0 {
		if t := f.recall(off, end); t != nil {
			s = t
		}
	}
	switch {
	case s == nil:
		s = &stream{f: f, runs: []run{{off, end}}, latest: end}
	case s == old:
		s.add(off, end, skip)
	}
	s.last, f.last = now, now
	if s != old {
		f.streams = append(f.streams, s)
		f.trim()
	}
	f.join(s)
	main := s.runs[0]
	length := main.end - main.off
	serial := off <= s.answered && s.joins > 0
	switch {
	case s.sure:
	case length >= sureRun && (s.joins > 0 || main.off == 0),
		length >= likelyRun && s.joins > 0 && (serial || main.off == 0):
		s.sure = true
		s.start(main)
		f.trim()
	case main.end == end:
		f.remember(main)
	default:
		f.remember(run{off, end})
	}
	if s.sure {
		f.c.live[s] = struct{}{}
		f.c.arm(now.Add(tidyEvery))
		if s.tail() >= s.mark {
			s.window = min(2*s.window, f.c.limits().window)
			s.mark = s.tail() + s.window/2
		}
	}
	return s
}

// join makes s one with the streams that it caught up with: readers far out of
// order look like several.
func (f *File) join(s *stream) {
	f.streams = slices.DeleteFunc(f.streams, func(t *stream) bool {
		a, b := &s.runs[0], t.runs[0]
		if t == s || a.end < b.off || b.end < a.off {
			return false
		}
		a.off, a.end = min(a.off, b.off), max(a.end, b.end)
		s.joins += t.joins
		s.answered = max(s.answered, t.answered)
		if t.sure {
			s.sure = true
			s.window, s.mark, s.front = max(s.window, t.window), max(s.mark, t.mark), max(s.front, t.front)
			delete(f.c.live, t)
		}
		for _, p := range f.parts {
			if p.s == t {
				p.s = s
			}
		}
		return true
	})
}

// recent is a read, or several in a row, that belongs to no stream.
type recent struct {
	run
	answered bool
}

// remember keeps a read in mind. Among many random readers, guesses are
// forgotten before the reader of a stream comes back.
func (f *File) remember(read run) {
	r := recent{run: read}
	if len(f.recent) < maxRecent {
		f.recent = append(f.recent, r)
		return
	}
	f.recent[f.oldest] = r
	f.oldest = (f.oldest + 1) % maxRecent
}

// recall makes a stream of a read that goes on exactly where one ended that is
// remembered, or gives nil.
func (f *File) recall(off, end int64) *stream {
	for i, r := range f.recent {
		if r.end == off && r.off < off {
			f.recent[i] = recent{}
			s := &stream{f: f, runs: []run{{r.off, end}}, joins: 1, latest: end}
			if r.answered {
				s.answered = off
			}
			return s
		}
	}
	return nil
}

// answer notes that a read of s got its bytes.
func (f *File) answer(s *stream, end int64) {
	s.answered = max(s.answered, end)
	if s.sure {
		return
	}
	for i, r := range f.recent {
		if r.end == end {
			f.recent[i].answered = true
		}
	}
}

// start opens the window, as far as what was read so far makes it likely that
// it will be of use.
func (s *stream) start(main run) {
	s.window = firstAhead
	if length := main.end - main.off; main.off > 0 && length < sureRun {
		s.window = up(length)
	}
	s.mark = main.end + s.window/2
	s.front = main.end
}

// trim forgets guesses and streams that are too many, the oldest first.
func (f *File) trim() {
	for _, sure := range []bool{false, true} {
		most := maxGuesses
		if sure {
			most = maxStreams
		}
		n, oldest := 0, -1
		for i, s := range f.streams {
			if s.sure != sure {
				continue
			}
			n++
			if oldest < 0 || s.last.Before(f.streams[oldest].last) {
				oldest = i
			}
		}
		if n > most {
			s := f.streams[oldest]
			f.streams = append(f.streams[:oldest], f.streams[oldest+1:]...)
			f.c.abandon(s)
		}
	}
}

// outstanding is how many bytes of s are asked for and not there.
func (s *stream) outstanding() int64 {
	var n int64
	for _, p := range s.f.parts {
		if p.s == s && p.state != done {
			n += p.end - p.arrived
		}
	}
	return n
}

// begins reports whether a read up to end is the first for which a window is
// open: nothing runs ahead yet.
func (s *stream) begins(end int64) bool {
	return s.sure && end == s.tail() && s.front <= end && s.outstanding() == 0
}

// next is the piece that s wants to be asked for now, if any.
func (s *stream) next(now time.Time, l limits) (r run, ok bool) {
	s.held = false
	f := s.f
	if _, ok := f.c.live[s]; !ok || now.Before(s.pause) {
		return run{}, false
	}
	front := max(s.front, s.tail())
	front = min(up(front), f.size)
	goal := min(s.tail()+min(s.window, l.window), f.size)
	if f.size <= smallFile {
		goal = f.size
	}
	n := min(l.part, goal-front)
	if n <= 0 || goal < f.size && n < min(l.part, s.window/2) {
		return run{}, false // small requests would only cost
	}
	if s.outstanding() >= l.under {
		s.held = true
		f.c.ahead.bounded = true
		return run{}, false
	}
	return run{front, min(up(front+n), f.size)}, true
}

// up rounds to the end of a unit, down to its beginning.
func up(off int64) int64   { return down(off + Unit - 1) }
func down(off int64) int64 { return off &^ (Unit - 1) }
