package providers

import "strings"

// schemeKinds are the kinds that a scheme decides.
var schemeKinds = map[string]string{
	"file": KindFolder, "hf": KindHF, "ssh": KindGit, "git": KindGit, "sftp": KindSFTP, "smb": KindSMB,
	"webdav": KindWebDAV, "webdavs": KindWebDAV, "dav": KindWebDAV, "davs": KindWebDAV, "ftp": KindFTP, "ftps": KindFTP,
}

// GuessKind tells which kind of drive a text that is no URL, perhaps not yet,
// is on its way to; "" if that cannot be told.
func GuessKind(s string) string {
	s = strings.TrimLeft(s, " \t\r\n")
	switch {
	case strings.HasPrefix(s, "/"), strings.HasPrefix(s, "~"), isDrivePath(s):
		return KindFolder
	case strings.HasPrefix(s, `\\`):
		return KindSMB
	}
	before, rest, ok := strings.Cut(s, ":")
	if !ok {
		if host, _, ok := strings.Cut(s, "/"); ok {
			return siteKind(host)
		}
		return ""
	}
	scheme := strings.ToLower(before)
	switch {
	case shortKinds[scheme] != "":
		return shortKinds[scheme]
	case bucketKinds[scheme] != "":
		return bucketKinds[scheme]
	case schemeKinds[scheme] != "":
		return schemeKinds[scheme]
	case strings.HasPrefix(scheme, "git+"), strings.HasPrefix(scheme, "git@"):
		return KindGit
	case scheme == "http", scheme == "https":
		authority, _, ok := strings.Cut(strings.TrimPrefix(rest, "//"), "/")
		if !ok {
			return ""
		}
		return siteKind(authority[strings.LastIndexByte(authority, '@')+1:])
	}
	return ""
}

// siteKind is the kind of what a site shows; "" if it is no site that is known.
func siteKind(host string) string {
	host = strings.ToLower(host)
	if a := aliases[host]; a != "" {
		host = a
	}
	switch {
	case forges[host] != nil:
		return KindGit
	case host == hubHost:
		return KindHF
	case cloudPages[host] != "":
		kind, _, _ := strings.Cut(cloudPages[host], ":")
		return kind
	}
	return ""
}
