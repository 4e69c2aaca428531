package providers

import (
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// cleanEndpoint gives the one form of the address of an object store: scheme,
// host, port if it is not the scheme's own, and a path if there is one.
func cleanEndpoint(s string) (string, error) {
	bad := urlError("the endpoint must be an address without login, like https://example.org:9000")
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	e, err := url.Parse(s)
	if err != nil || e.Scheme != "https" && e.Scheme != "http" || e.User != nil || e.RawQuery != "" || e.ForceQuery || strings.ContainsAny(s, "@#") {
		return "", bad
	}
	host := strings.ToLower(e.Hostname())
	if a, err := netip.ParseAddr(host); err == nil && a.Zone() == "" {
		host = a.String()
	} else if checkHost(host) != nil {
		return "", bad
	}
	port := ""
	if p := e.Port(); p != "" || strings.HasSuffix(e.Host, ":") {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return "", bad
		}
		if int(n) != defaultPorts[e.Scheme] {
			port = ":" + strconv.FormatUint(n, 10)
		}
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	out := e.Scheme + "://" + host + port
	if p := path.Clean("/" + e.Path); p != "/" {
		out += escape(p, "/")
	}
	return out, nil
}

// checkRegion takes the names that regions have.
func checkRegion(s string) error {
	if s == "" || len(s) > 64 || s[0] == '-' || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return urlError("a region is written like eu-central-1")
	}
	return nil
}

// goodProfile takes what names of profiles of the AWS tools are made of.
func goodProfile(s string) bool {
	return s != "" && len(s) <= 128 && s[0] != '-' &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+@:/ ") == ""
}
