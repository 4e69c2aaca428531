package control

import (
	"net/http"
	"strconv"
	"time"

	"github.com/moorage/moorage/daemon/api"
)

func (s *Server) revisions(r *http.Request) (any, error) {
	v := r.URL.Query()
	q := api.RevisionQuery{Find: v.Get("find"), Of: v.Get("of"), Page: v.Get("page")}
	var err error
	if q.Commits, err = query(r, "commits", false, strconv.ParseBool); err != nil {
		return nil, err
	}
	at := func(s string) (time.Time, error) { return time.Parse(time.RFC3339, s) }
	if q.At, err = query(r, "at", time.Time{}, at); err != nil {
		return nil, err
	}
	return s.o.History.Revisions(r.Context(), r.PathValue("name"), q)
}
