package model

import (
	"slices"
	"strings"
	"time"

	"github.com/moorage/moorage/daemon/api"
)

// News is something that a person is to be told of wherever they look.
type News struct{ Title, Text string }

// An upload is worth telling of when it has ended if it took so long or was of so
// many files.
const (
	longUpload = 10 * time.Second
	manyFiles  = 10
)

// teller remembers what a person was told.
type teller struct {
	since  time.Time                  // of the first News; zero before
	told   map[string]map[string]bool // by drive: causes that are not over
	bursts map[string]burst           // by drive: uploads under way
	ended  map[string][]api.Upload    // by drive: what lately came of its changes
	queue  []News
}

// burst is the time from the first change that waits until none does.
type burst struct {
	since time.Time
	most  int // files that waited at a time
}

// cause is why a person is to be told something.
type cause struct {
	key   string
	needs bool // nothing goes on without a person
	news  News
}

// Crashed says that a program of Moorage has crashed: this one before it was
// started again, or the service.
func (m *Model) Crashed(service bool) {
	key := "news.crash.app"
	if service {
		key = "news.crash.service"
	}
	m.teller.queue = append(m.teller.queue, News{m.texts.Get("news.crash.title"), m.texts.Get(key)})
}

// Ended takes in what lately came of a drive's changes.
func (m *Model) Ended(drive string, uploads []api.Upload) {
	if _, ok := m.drives[drive]; ok {
		m.teller.ended[drive] = uploads
	}
}

// News returns what a person is to be told as of now and was not told yet. Of
// what was so already when the app began, that is only what waits for a person.
// It is to be called after every change.
func (m *Model) News(now time.Time) []News {
	t := &m.teller
	news := t.queue
	t.queue = nil
	if m.link != Up { // what is known may be old
		return news
	}
	first := t.since.IsZero()
	if first {
		t.since = now
	}
	for name := range t.told {
		if _, ok := m.drives[name]; !ok {
			delete(t.told, name)
			delete(t.bursts, name)
			delete(t.ended, name)
		}
	}
	for _, d := range m.sorted() {
		for _, c := range m.fresh(d) {
			if c.needs || !first {
				news = append(news, c.news)
			}
		}
		if n, ok := m.uploaded(d, now); ok {
			news = append(news, n)
		}
	}
	return news
}

// fresh are the causes about a drive that came up since the last call.
func (m *Model) fresh(d api.Drive) (found []cause) {
	if m.teller.told[d.Name] == nil {
		m.teller.told[d.Name] = map[string]bool{}
	}
	told := m.teller.told[d.Name]
	causes := m.causes(d)
	// A drive on its way may be about to fail for the same cause again.
	if d.State != api.Connecting {
		for key := range told {
			// A conflict is an event, which is never over.
			if !strings.HasPrefix(key, conflict) && !slices.ContainsFunc(causes, func(c cause) bool { return c.key == key }) {
				delete(told, key)
			}
		}
	}
	for _, c := range causes {
		if !told[c.key] {
			told[c.key] = true
			found = append(found, c)
		}
	}
	return found
}

// conflict begins the key of a cause that is one.
const conflict = "conflict "

func (m *Model) causes(d api.Drive) (all []cause) {
	about := func(key string, needs bool, text string) {
		all = append(all, cause{key, needs, News{d.Name, text}})
	}
	if p := d.Problem; p != nil && p.What != "" && (d.State == api.NeedsYou || d.State == api.Failed || lasting(p.Code)) {
		key := p.Code
		if key == "" || key == api.CodeInternal {
			key = p.What
		}
		about(key, d.State != api.Failed, m.brief(strings.TrimSpace(p.What+" "+p.Do)))
	}
	if d.Pending.Parked > 0 {
		about("parked", true, m.texts.Count("news.parked", d.Pending.Parked))
	}
	ended := m.teller.ended[d.Name]
	if m.whole != nil && m.whole.Name == d.Name {
		ended = append(slices.Clone(ended), m.whole.Uploads...)
	}
	conflicts := map[string]bool{}
	for _, u := range ended {
		key := conflict + u.Path + u.Since.String()
		// One from before this app ran was told by another, or on the drive.
		if u.State == api.UploadConflict && !u.Since.Before(m.teller.since) && !conflicts[key] {
			conflicts[key] = true
			about(key, true, m.texts.Get("news.conflict", u.Path))
		}
	}
	return all
}

// lasting says whether a trouble of a mounted drive stays until a person has
// done something. A remote that is away comes back by itself.
func lasting(code string) bool {
	switch code {
	case api.CodeDisk, api.CodeDiskFull, api.CodeRemoteFull, api.CodePinRoom, api.CodeAuth, api.CodeHostKey, api.CodeKeyring, api.CodePermission:
		return true
	}
	return false
}

// uploaded tells of the end of an upload that was worth waiting for.
func (m *Model) uploaded(d api.Drive, now time.Time) (News, bool) {
	b, under := m.teller.bursts[d.Name]
	waiting := waits(d)
	switch {
	case waiting > 0:
		if !under {
			b.since = now
		}
		b.most = max(b.most, waiting)
		m.teller.bursts[d.Name] = b
	case under:
		delete(m.teller.bursts, d.Name)
		if (d.State == api.Mounted || d.State == api.Degraded) && d.Pending.Files == 0 && (now.Sub(b.since) > longUpload || b.most > manyFiles) {
			return News{d.Name, m.texts.Get("news.uploaded")}, true
		}
	}
	return News{}, false
}

// waits is how many changes of a drive are on their way to its remote.
func waits(d api.Drive) int {
	switch d.State {
	case api.Mounted, api.Degraded, api.Connecting:
		return max(d.Pending.Files-d.Pending.Parked, 0)
	}
	return 0
}

// Backlog is what is on its way from this computer to remotes.
type Backlog struct {
	Files int
	Text  string // a sentence; "" for none
}

func (m *Model) backlog(drives []api.Drive) (w Backlog) {
	var bytes int64
	offline := m.link != Up
	for _, d := range drives {
		if n := waits(d); n > 0 {
			w.Files += n
			bytes += d.Pending.Bytes
			offline = offline || d.State != api.Mounted
		}
	}
	if w.Files == 0 {
		return w
	}
	w.Text = m.texts.Count("quit.waiting", w.Files, Bytes(m.texts, bytes))
	switch {
	case m.paused() != nil:
		w.Text += " " + m.texts.Get("pause.quit")
	case offline:
		w.Text += " " + m.texts.Get("quit.offline")
	}
	return w
}
