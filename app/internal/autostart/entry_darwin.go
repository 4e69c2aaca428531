package autostart

import (
	"bytes"
	"encoding/xml"
	"os"
	"path/filepath"
)

// newEntry is a launch agent; launchd looks for them at login.
func newEntry(program string) (entry, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	var word bytes.Buffer
	if err := xml.EscapeText(&word, []byte(program)); err != nil {
		return nil, err
	}
	return &file{path: filepath.Join(home, "Library", "LaunchAgents", "org.moorage.Moorage.plist"), on: func([]byte) bool { return true },
		text: []byte(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>Label</key><string>org.moorage.Moorage</string>
<key>ProgramArguments</key><array><string>` + word.String() + `</string><string>` + hiddenFlag + `</string></array>
<key>RunAtLoad</key><true/>
<key>ProcessType</key><string>Interactive</string>
</dict></plist>
`)}, nil
}
