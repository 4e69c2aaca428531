package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/providers"
)

// The parts of a look at a drive; all are below limit.
const (
	nameTime = 5 * time.Second  // to look a name up
	dialTime = 5 * time.Second  // to connect
	lookTime = 10 * time.Second // to read through the mount
)

func driveID(d api.Drive) string { return "drive:" + d.Name }

// drive looks at a drive's remote, and at its mount if it has one.
func (d *Doctor) drive(ctx context.Context, dr api.Drive) []api.Check {
	remote := api.Check{ID: driveID(dr), Name: "drive " + dr.Name, State: api.CheckOK}
	mount := api.Check{ID: driveID(dr) + ":mount", Name: "drive " + dr.Name + ", mount", State: api.CheckOK}
	mounted := dr.State == api.Mounted || dr.State == api.Degraded
	var away string
	var wg sync.WaitGroup
	wg.Go(func() { away = unreachable(ctx, d.o.Proxy, dr.URL) })
	wg.Go(func() { d.remote(ctx, dr, &remote) })
	if mounted {
		wg.Go(func() { d.live(ctx, dr, &mount) })
	}
	wg.Wait()
	if away != "" && remote.State != api.CheckOK { // else there is another way, as by an alias of ssh
		remote.Detail += " " + away
	}
	if !mounted {
		return []api.Check{remote}
	}
	return []api.Check{remote, mount}
}

// remote fills in how the remote is: for a drive that is in use from there, for others by
// trying.
func (d *Doctor) remote(ctx context.Context, dr api.Drive, c *api.Check) {
	tell := func(state api.CheckState, means string) {
		c.State, c.Detail, c.Remedy = state, means, "Look into the service's log."
		if p := dr.Problem; p != nil {
			c.Detail = p.What
			if p.Do != "" {
				c.Remedy = p.Do
			}
		}
	}
	switch dr.State {
	case api.Mounted:
		c.Detail = "It is mounted, and its remote answers."
		if dr.Problem != nil {
			tell(api.CheckNote, "")
		}
	case api.Degraded:
		tell(api.CheckBad, "The remote does not answer; what is on this computer can be used.")
	case api.NeedsYou, api.Failed:
		tell(api.CheckBad, "It cannot be mounted.")
	case api.Connecting:
		tell(api.CheckNote, "It is being mounted.")
	default:
		err := d.o.Try(ctx, dr)
		if err == nil {
			c.Detail = "It is not mounted; sign-in and listing work."
			return
		}
		if errors.Is(err, context.DeadlineExceeded) {
			c.State, c.Detail, c.Remedy = api.CheckBad, "The remote does not answer in time.", "Try again."
			return
		}
		p := problem.Of(err, dr.URL).Problem
		c.State, c.Detail, c.Remedy = api.CheckBad, p.What, p.Do
	}
}

// live reads through the mount.
func (d *Doctor) live(ctx context.Context, dr api.Drive, c *api.Check) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	began := time.Now()
	// What is not here cannot be read while the remote is away, and that is no fault.
	err := d.o.Look(ctx, dr.Dir, dr.State == api.Mounted)
	switch {
	case err == nil:
		c.Detail = fmt.Sprintf("%s can be read (%v).", dr.Dir, time.Since(began).Round(time.Millisecond))
		return
	case ctx.Err() != nil:
		c.Detail = fmt.Sprintf("%s does not answer within %v.", dr.Dir, lookTime)
	default:
		c.Detail = fmt.Sprintf("%s cannot be read: %v.", dr.Dir, err)
	}
	c.State, c.Remedy = api.CheckBad, fmt.Sprintf("Mount it anew: moorage unmount %s --force, then moorage mount %s", dr.Name, dr.Name)
}

// unreachable says in a sentence why the host of a URL cannot be reached; "" if it can, or
// if there is none.
func unreachable(ctx context.Context, proxy proxyFunc, raw string) string {
	host, port := endpoint(proxy, raw)
	if host == "" {
		return ""
	}
	nctx, cancel := context.WithTimeout(ctx, nameTime)
	defer cancel()
	var r net.Resolver
	if _, err := r.LookupHost(nctx, host); err != nil {
		return fmt.Sprintf("This computer finds no address for the name %s.", host)
	}
	dialer := net.Dialer{Timeout: dialTime}
	c, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return fmt.Sprintf("Nothing answers at port %d of %s.", port, host)
	}
	c.Close()
	return ""
}

// proxyFunc is the proxy for a request; nil: none.
type proxyFunc = func(*http.Request) (*url.URL, error)

// endpoint is where the remote of a URL listens; "" if that is not known, or is reached
// by a proxy.
func endpoint(proxy proxyFunc, raw string) (host string, port int) {
	u, _, err := providers.ParseURL(raw)
	if err != nil {
		return "", 0
	}
	transport, host, port := u.Transport, u.Host, u.Port
	if u.Kind == providers.KindS3 {
		e, err := url.Parse(u.Param("endpoint"))
		if err != nil || e.Host == "" {
			return "", 0
		}
		transport, host = e.Scheme, e.Hostname()
		port, _ = strconv.Atoi(e.Port()) // 0: as the scheme says
	}
	if transport == "http" || transport == "https" {
		at := url.URL{Scheme: transport, Host: net.JoinHostPort(host, strconv.Itoa(port))}
		if by, err := proxy(&http.Request{URL: &at}); err != nil || by != nil {
			return "", 0
		}
	}
	if port == 0 {
		port = map[string]int{"https": 443, "http": 80, "ssh": 22, "git": 9418}[transport]
	}
	if port == 0 {
		return "", 0
	}
	return host, port
}
