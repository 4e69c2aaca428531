package drive

import (
	"container/heap"
	"errors"
	"fmt"
	"time"
)

// Whatever ends, what it costs does not grow with the number of tasks: each knows
// its place in the queue, what waits for one of them is found by it, and how many
// there are of each kind is counted as they change.

// dueQueue is a heap of tasks, the earliest first.
type dueQueue []*work

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q dueQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}
func (q *dueQueue) Push(x any) {
	w := x.(*work)
	w.index = len(*q)
	*q = append(*q, w)
}
func (q *dueQueue) Pop() any {
	last := len(*q) - 1
	w := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	w.index = -1
	return w
}

// at has a task done at a time. One that is being done is done again if it says so
// at its end.
func (p *publisher) at(w *work, due time.Time) {
	p.release(w)
	delete(p.stays, w.key)
	w.due = due
	switch {
	case w.running:
	case w.index >= 0:
		heap.Fix(&p.queue, w.index)
	default:
		heap.Push(&p.queue, w)
	}
	p.count(w)
	p.poke()
}

// soon is at for a task that waits for nothing but more to come: while somebody
// waits for all of them it does not.
func (p *publisher) soon(w *work, pause time.Duration) {
	if p.syncs > 0 {
		pause = min(pause, hurried)
	}
	p.at(w, time.Now().Add(pause))
}

// hurried is how long tasks wait that are not to wait. Those that have to be looked
// at again are not looked at all the time.
const hurried = 10 * time.Millisecond

// standing is what a task is to those who count.
type standing uint8

const (
	toDo     standing = iota
	held              // waits for another one
	resting           // there is nothing to publish
	stuck             // waits for something that only somebody else can end
	isParked          // waits for a person
	standings
)

func (w *work) standing() standing {
	switch {
	case w.parked != nil:
		return isParked
	case w.waits != nil && !w.running:
		return stuck
	case w.rests:
		return resting
	case w.held && !w.running:
		return held
	}
	return toDo
}

// count takes note of what has become of a task.
func (p *publisher) count(w *work) {
	now := w.standing()
	if now == w.counted {
		return
	}
	p.tally[w.counted]--
	p.tally[now]++
	w.counted = now
	if now == stuck || now == isParked {
		p.stuck[w.key] = w
	} else {
		delete(p.stuck, w.key)
	}
}

// add takes up a new task.
func (p *publisher) add(w *work) {
	w.index = -1
	p.work[w.key] = w
	w.place = p.order.PushBack(w)
	p.tally[w.counted]++
}

// drop forgets a task, which is done.
func (p *publisher) drop(w *work) {
	p.release(w)
	delete(p.stays, w.key)
	delete(p.stuck, w.key)
	delete(p.work, w.key)
	p.order.Remove(w.place)
	p.tally[w.counted]--
}

// heldError means that a task waits for another one, which wakes it.
type heldError struct {
	on   taskKey
	busy bool // it waits for a place that the other one works on, not for what it does
}

func (e heldError) Error() string {
	if e.busy {
		return "waits for something else on its way"
	}
	return "waits for something else on this computer"
}

// heldBy is the error of a task that waits until another one is done.
func heldBy(on taskKey) error { return heldError{on: on} }

// busyWith is the error of one that waits until another one gives back its places.
func busyWith(on taskKey) error { return heldError{on, true} }

// workBelow stands for all tasks that work below a directory: no tomb has a name
// like that.
func workBelow(dir uint64) taskKey { return tombTask(dir, "/") }

// hold has a task wait for another one, if that has not ended since it began.
func (p *publisher) hold(w *work, e heldError) {
	o := p.work[e.on]
	gone := o == nil || o.doneAt > w.began || e.busy && o.freedAt > w.began
	if e.on.name == "/" {
		gone = p.below[e.on.dir] == 0
	}
	if gone {
		p.at(w, time.Now())
		return
	}
	w.held, w.on = true, e
	if p.waiting[e.on] == nil {
		p.waiting[e.on] = map[*work]bool{}
	}
	p.waiting[e.on][w] = true
	p.count(w)
}

// release ends what hold began.
func (p *publisher) release(w *work) {
	if !w.held {
		return
	}
	w.held = false
	if m := p.waiting[w.on.on]; len(m) > 1 {
		delete(m, w)
	} else {
		delete(p.waiting, w.on.on)
	}
}

// rise has those done that wait for a task, or only those that wait for its places.
func (p *publisher) rise(on taskKey, places bool) {
	now := time.Now()
	for w := range p.waiting[on] {
		if w.on.busy || !places {
			p.at(w, now)
		}
	}
}

// ends has those looked at that wait for a task which ends with err.
func (p *publisher) ends(w *work, err error) {
	p.turn++
	if err == nil || errors.Is(err, errNow) {
		w.doneAt = p.turn
		p.changes++
		p.rise(w.key, false)
	}
	if w.claimed != nil {
		w.freedAt = p.turn
		p.rise(w.key, true)
	}
}

// lookPause is how long nothing is looked at again for each task that waits for
// another one.
const lookPause = 5 * time.Millisecond

// overlooked reports whether there are tasks that wait for others although
// something has changed since they were looked at: what they wait for may have come
// to pass without its task.
func (p *publisher) overlooked() bool { return p.tally[held] > 0 && p.changes != p.looked }

// look has all of those done.
func (p *publisher) look() {
	now := time.Now()
	p.looked = p.changes
	p.lookAt = now.Add(time.Duration(p.tally[held]) * lookPause)
	for _, m := range p.waiting {
		for w := range m {
			p.at(w, now)
		}
	}
}

// stuckNamed is how many changes an error names.
const stuckNamed = 20

// stuckError tells what cannot be published.
func (p *publisher) stuckError() error {
	var all []error
	for k, w := range p.stuck {
		if len(all) == stuckNamed {
			all = append(all, fmt.Errorf("and %d more", len(p.stuck)-stuckNamed))
			break
		}
		why := w.parked
		if why == nil {
			why = w.waits
		}
		all = append(all, fmt.Errorf("%s: %w", p.name(k), why))
	}
	return errors.Join(all...)
}
