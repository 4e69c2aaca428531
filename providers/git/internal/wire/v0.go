package wire

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/object"
	"github.com/moorage/moorage/providers/git/internal/pktline"
)

// parseV0 reads the advertisement of gitprotocol-pack(5), from its first line
// on: "oid name\0capabilities", then "oid name" and "oid name^{}" for what an
// annotated tag is about.
func (c *Client) parseV0(r *pktline.Reader, kind pktline.Kind, line []byte) error {
	for first := true; kind == pktline.Data; first = false {
		s := strings.TrimSuffix(string(line), "\n")
		if first {
			refPart, caps, ok := strings.Cut(s, "\x00")
			if !ok {
				return fmt.Errorf("%w: no capabilities", pktline.ErrMalformed)
			}
			if err := c.parseCapsV0(caps); err != nil {
				return err
			}
			s = refPart
		}
		if !strings.HasPrefix(s, "shallow ") {
			hex, name, ok := strings.Cut(s, " ")
			if !ok || name == "" {
				return fmt.Errorf("%w: ref %.80q", pktline.ErrMalformed, s)
			}
			id, err := c.parseID(hex)
			if err != nil {
				return err
			}
			c.addRefV0(name, id)
			if len(c.refs) > maxRefs {
				return fmt.Errorf("%w: more than %d refs", pktline.ErrMalformed, maxRefs)
			}
		}
		var err error
		if kind, line, err = r.Next(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) parseCapsV0(caps string) error {
	var symrefs []string
	for f := range strings.FieldsSeq(caps) {
		k, v, _ := strings.Cut(f, "=")
		if k == "symref" {
			symrefs = append(symrefs, v)
			continue
		}
		c.caps[k] = v
	}
	c.caps["symrefs"] = strings.Join(symrefs, " ")
	if f, ok := c.caps["object-format"]; ok {
		var err error
		if c.format, err = object.ParseFormat(f); err != nil {
			return fmt.Errorf("%w: %w", providers.ErrUnsupported, err)
		}
	}
	return nil
}

func (c *Client) addRefV0(name string, id object.ID) {
	if name == "capabilities^{}" {
		return // an empty repository
	}
	if base, ok := strings.CutSuffix(name, "^{}"); ok {
		if n := len(c.refs); n > 0 && c.refs[n-1].Name == base {
			c.refs[n-1].Peeled = id
		}
		return
	}
	ref := Ref{Name: name, ID: id}
	for s := range strings.FieldsSeq(c.caps["symrefs"]) {
		if from, to, ok := strings.Cut(s, ":"); ok && from == name {
			ref.Target = to
		}
	}
	c.refs = append(c.refs, ref)
}

// refsV0 asks for the advertisement again: version 0 has no other way to learn
// the refs. c keeps the capabilities that it has.
func (c *Client) refsV0(ctx context.Context, prefixes []string) ([]Ref, error) {
	now, err := Connect(ctx, c.t)
	if err != nil {
		return nil, err
	}
	var refs []Ref
	for _, r := range now.refs {
		if hasPrefix(r.Name, prefixes) {
			refs = append(refs, r)
		}
	}
	return refs, nil
}

func (c *Client) fetchV0(q FetchRequest) ([]byte, error) {
	need := []string{"side-band-64k", "ofs-delta"}
	if q.Depth > 0 {
		need = append(need, "shallow")
	}
	for _, n := range need {
		if _, ok := c.caps[n]; !ok {
			return nil, fmt.Errorf("fetch: %w: the server speaks an old protocol and lacks %s", providers.ErrUnsupported, n)
		}
	}
	caps := " side-band-64k ofs-delta"
	if _, ok := c.caps["no-progress"]; ok {
		caps += " no-progress"
	}
	if q.Filter != "" {
		caps += " filter"
	}
	if _, ok := c.caps["object-format"]; ok {
		caps += " object-format=" + c.format.String()
	}
	if _, ok := c.caps["agent"]; ok {
		caps += " agent=" + agent
	}
	var b []byte
	for _, id := range q.Wants {
		b = pktline.Append(b, "want "+id.String()+caps+"\n")
		caps = ""
	}
	if q.Depth > 0 {
		b = pktline.Append(b, "deepen "+strconv.Itoa(q.Depth)+"\n")
	}
	if q.Filter != "" {
		b = pktline.Append(b, "filter "+q.Filter+"\n")
	}
	b = pktline.AppendFlush(b)
	return pktline.Append(b, "done\n"), nil
}

func (c *Client) packOfV0(r *pktline.Reader, q FetchRequest) (io.Reader, error) {
	if q.Depth > 0 { // "shallow oid" lines, then a flush
		for n := 0; ; n++ {
			kind, _, err := r.Next()
			if err != nil {
				return nil, err
			}
			if kind == pktline.Flush {
				break
			}
			if n > maxTalk {
				return nil, fmt.Errorf("%w: no end of shallow lines", pktline.ErrMalformed)
			}
		}
	}
	kind, line, err := r.Next()
	if err != nil {
		return nil, err
	}
	if kind != pktline.Data || strings.TrimSpace(string(line)) != "NAK" {
		return nil, fmt.Errorf("%w: %.40q instead of NAK", pktline.ErrMalformed, line)
	}
	return pktline.NewSideband(r), nil
}
