#!/bin/sh
# Makes .venv with what the lock names, and nothing else. Called by make; safe to call again.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

[ "$(uname)" = Linux ] || { echo "kithlog: this is $(uname); what starts here needs Linux (a virtual machine will do)" >&2; exit 1; }
command -v "$python" >/dev/null || { echo "kithlog: $python is not installed; Python 3.11 or later is needed" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "kithlog: $("$python" --version) is too old; Python 3.11 or later is needed (make PYTHON=/path/to/python3.x)" >&2
    exit 1
}

# One at a time: two that make the environment at once would clear it away under each other. Held until this shell ends.
exec 9<.
"$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "kithlog: making a virtual environment in .venv …" >&2
    # Debian keeps ensurepip in a package of its own; a pip of the machine can stand in for it.
    "$python" -m venv --clear .venv >/dev/null 2>&1 || {
        "$python" -m venv --clear --without-pip .venv && "$python" -m pip --python .venv/bin/python install --quiet pip
    } || {
        echo "kithlog: $python cannot make a virtual environment with pip; on Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    }
fi

echo "kithlog: installing what requirements-dev.lock names …" >&2
# uv takes a few seconds where pip takes half a minute. But it knows nothing of this machine's pip configuration (an
# index of one's own, a certificate), so where it fails pip has the last word. Either way the hashes decide.
pip() { .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes "$@"; }
with_uv() {
    sed -n '/^uv==/,/[^\\]$/p' requirements-dev.lock > .venv/uv.lock && pip --no-deps -r .venv/uv.lock &&
        UV_HTTP_TIMEOUT=15 UV_HTTP_RETRIES=0 .venv/bin/uv pip install --quiet --no-config --python .venv/bin/python \
            --require-hashes -r requirements-dev.lock
}
with_uv || {
    echo "kithlog: uv could not, pip does it (half a minute) …" >&2
    pip -r requirements-dev.lock
}
ln -sf ../../deploy/kithlog .venv/bin/kithlog
