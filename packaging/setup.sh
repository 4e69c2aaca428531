# Sourced by run and test: finds Go, and installs packages that are missing.
# Everything it says goes to stderr.

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

need_go() {
  command -v go >/dev/null 2>&1 || PATH=$PATH:/usr/local/go/bin:/usr/lib/go/bin
  command -v go >/dev/null 2>&1 ||
    die "Go is not on this machine. Install Go 1.26 or newer from https://go.dev/dl/ and run this again."
  # An older Go fetches the toolchain that go.mod names; one before 1.21 cannot.
  go list -m >/dev/null 2>&1 || die "$(go version 2>&1): too old for this project. Install Go 1.26 or newer from https://go.dev/dl/."
}

# as_root CMD...: runs CMD as root, with sudo where that is needed.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null 2>&1; then sudo "$@"
  else die "This needs root, and there is no sudo: $*"
  fi
}

# system: debian, fedora, macos or other.
system() {
  case $(uname -s) in
    Darwin) echo macos; return ;;
    Linux) ;;
    *) echo other; return ;;
  esac
  if command -v apt-get >/dev/null 2>&1; then echo debian
  elif command -v dnf >/dev/null 2>&1; then echo fedora
  else echo other
  fi
}

apt_updated=
apt_install() { # apt_install PACKAGE...: those that are missing
  missing=
  for p in "$@"; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
  done
  [ -n "$missing" ] || return 0
  say "Installing:$missing"
  if [ -z "$apt_updated" ]; then
    as_root apt-get -qq -o DPkg::Lock::Timeout=300 update >&2 || say "apt-get update failed; trying with the lists there are."
    apt_updated=yes
  fi
  # shellcheck disable=SC2086
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
    -o DPkg::Lock::Timeout=300 install $missing >&2
}

dnf_install() {
  missing=
  for p in "$@"; do rpm -q --quiet --whatprovides "$p" 2>/dev/null || missing="$missing $p"; done
  [ -n "$missing" ] || return 0
  say "Installing:$missing"
  # shellcheck disable=SC2086
  as_root dnf -q -y install $missing >&2
}

brew_install() {
  command -v brew >/dev/null 2>&1 || die "Homebrew is needed to install: $*. See https://brew.sh, then run this again."
  for p in "$@"; do brew list --formula "$p" >/dev/null 2>&1 || brew install "$p" >&2; done
}

# install_window: what building and running the window needs.
install_window() {
  case $(system) in
    debian) apt_install gcc libc6-dev pkg-config libgl1-mesa-dev libx11-dev libxcursor-dev libxrandr-dev \
      libxinerama-dev libxi-dev libxxf86vm-dev libwayland-dev libxkbcommon-dev ;;
    fedora) dnf_install gcc pkgconf-pkg-config mesa-libGL-devel libX11-devel libXcursor-devel libXrandr-devel \
      libXinerama-devel libXi-devel libXxf86vm-devel wayland-devel libxkbcommon-devel ;;
    macos) xcode-select -p >/dev/null 2>&1 || die "The window needs Apple's command line tools: run 'xcode-select --install', then this again." ;;
    *) say "Not a system this script knows (Debian, Ubuntu, Fedora, macOS): it installs nothing and uses what is here." ;;
  esac
}

# install_client: the NFS client's user-land part and what a drive may call.
install_client() {
  case $(system) in
    debian) apt_install nfs-common netbase git ca-certificates ;;
    fedora) dnf_install nfs-utils git ca-certificates ;;
  esac
}

# install_s3: an S3 server for tests, built once and kept in the cache of this login.
install_s3() {
  version=v1.8.0
  dir=${XDG_CACHE_HOME:-$HOME/.cache}/moorage/versitygw-$version
  if [ -x "$dir/versitygw" ]; then PATH=$dir:$PATH; export PATH; return; fi
  command -v versitygw >/dev/null 2>&1 && return
  say "Installing: versitygw $version (some minutes, once)"
  GOFLAGS='' GOBIN=$dir CGO_ENABLED=0 go install -trimpath "github.com/versity/versitygw/cmd/versitygw@$version" >&2
  PATH=$dir:$PATH; export PATH
}

# install_nfpm: what makes packages for Linux.
install_nfpm() {
  version=v2.45.2
  dir=${XDG_CACHE_HOME:-$HOME/.cache}/moorage/nfpm-$version
  if [ ! -x "$dir/nfpm" ]; then
    command -v nfpm >/dev/null 2>&1 && return
    say "Installing: nfpm $version (some minutes, once)"
    GOFLAGS='' GOBIN=$dir CGO_ENABLED=0 go install -trimpath "github.com/goreleaser/nfpm/v2/cmd/nfpm@$version" >&2
  fi
  PATH=$dir:$PATH; export PATH
}
