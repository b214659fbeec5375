#!/usr/bin/env bash
# Make .venv as constraints.txt pins it: tools/setup.sh [EXTRAS], by default pyqt6,test.
# PYTHON names the interpreter. When nothing has changed since the last time it does nothing;
# what was interrupted is made anew.
set -euo pipefail
cd "$(dirname "$0")/.."

extras=${1:-pyqt6,test}
python=${PYTHON:-python3}
stamp=.venv/.setup-$extras
begun=.venv/.setup-begun

die() {
    echo "setup: $*" >&2
    exit 1
}

# A virtual environment knows its own path, so the path is part of the key.
key() {
    { cat pyproject.toml constraints.txt tools/setup.sh && "$python" -V && pwd; } | cksum
}

# File that Qt or the tests open, and the Debian package that has it. Renamed packages
# (libglib2.0-0t64) still answer to the old name, so the files are looked for.
libraries="
libGL.so.1              libgl1
libEGL.so.1             libegl1
libglib-2.0.so.0        libglib2.0-0
libfontconfig.so.1      libfontconfig1
libdbus-1.so.3          libdbus-1-3
libxkbcommon.so.0       libxkbcommon0
libxkbcommon-x11.so.0   libxkbcommon-x11-0
libxcb-cursor.so.0      libxcb-cursor0
libxcb-icccm.so.4       libxcb-icccm4
libxcb-image.so.0       libxcb-image0
libxcb-keysyms.so.1     libxcb-keysyms1
libxcb-randr.so.0       libxcb-randr0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0       libxcb-shape0
libxcb-xkb.so.1         libxcb-xkb1
"

missing_packages() {
    local known file package
    known=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null || true)
    while read -r file package; do
        [[ -z $file || $known == *"$file "* ]] || echo "$package"
    done <<<"$libraries"
    command -v Xvfb >/dev/null || echo xvfb
    command -v xauth >/dev/null || echo xauth
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        "$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
}

install_packages() { # as root, or with a sudo that asks for no password
    local root=()
    if [[ $(id -u) != 0 ]]; then
        sudo -n true 2>/dev/null || return 1
        root=(sudo -n)
    fi
    echo "setup: installing with apt: $*"
    # One source that cannot be reached must not stop what the others have.
    "${root[@]}" apt-get update -qq || true
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

prepare_system() {
    local packages
    mapfile -t packages < <(missing_packages)
    if [[ ${#packages[@]} == 0 ]]; then
        return
    elif ! command -v apt-get >/dev/null; then
        echo "setup: going on, but these seem to be missing (Debian's names):" \
            "${packages[*]}" >&2
    elif ! install_packages "${packages[@]}"; then
        die "some system packages are missing, and apt could not be used." \
            "Run: sudo apt-get install ${packages[*]}"
    fi
}

command -v "$python" >/dev/null ||
    die "there is no $python. Install Python 3.11 or newer, or name one: make PYTHON=..."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "$python is $("$python" -V 2>&1); 3.11 or newer is needed." \
        "Install one and name it: make PYTHON=python3.12"

if [[ -e $stamp && ! -e $begun && $(<"$stamp") == "$(key)" ]]; then
    exit 0
fi

[[ $(uname) != Linux ]] || prepare_system

version=$("$python" -V)
if [[ -e $begun || $(.venv/bin/python -V 2>/dev/null) != "$version" ]] ||
    ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "setup: making .venv with $version"
    rm -rf .venv
    mkdir .venv
    touch "$begun"
    "$python" -m venv .venv
fi

touch "$begun"
echo "setup: installing the pinned packages into .venv (about 2 GB, some minutes)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
    -c constraints.txt torch==2.13.0 -e ".[$extras]"
rm -f "$begun"
key >"$stamp" # only now: apt may have brought a newer python
if [[ $extras == pyqt6,dev ]]; then
    cp "$stamp" .venv/.setup-pyqt6,test # which dev includes
fi
