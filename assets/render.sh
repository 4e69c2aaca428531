#!/bin/sh
# render.sh makes the PNG files from the SVG sources; it needs rsvg-convert (Debian: librsvg2-bin).
set -eu
cd "$(dirname "$0")/icons"
rsvg-convert -w 256 -h 256 moorage.svg -o moorage.png
for state in idle busy attention offline; do
	rsvg-convert -w 64 -h 64 "tray-$state.svg" -o "tray-$state.png"
done
for kind in kind-*.svg; do
	rsvg-convert -w 96 -h 96 "$kind" -o "${kind%.svg}.png"
done
