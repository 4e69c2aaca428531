package drive

import "strings"

// sideFile reports whether a name is one that programs give to files of no
// interest elsewhere: what file managers know of a folder, locks of editors,
// files that are open and removed. They work as all others do, and stay on this
// computer, unless they are renamed.
func sideFile(name string) bool {
	switch name {
	case ".DS_Store", "Thumbs.db", "ehthumbs.db", "desktop.ini",
		".Spotlight-V100", ".Trashes", ".fseventsd", ".TemporaryItems", ".apdisk", ".VolumeIcon.icns",
		"$RECYCLE.BIN", "System Volume Information":
		return true
	}
	for _, p := range []string{"._", "~$", "~WRL", ".~lock.", ".nfs", ".fuse_hidden", ".smbdelete"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	// vim's swap files: .name.swp, then .swo, .swn and so on.
	if i := len(name) - 4; i > 0 && name[0] == '.' && strings.HasPrefix(name[i:], ".sw") && name[i+3] >= 'a' && name[i+3] <= 'p' {
		return true
	}
	return strings.Contains(name, ".sb-") // what TextEdit and others write before they replace a file
}
