#!/bin/sh
# Run a script with the newest Python that the workbench supports, or say in one command how to get one.
set -eu
for name in python3.13 python3.12 python3.11 python3; do
  if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
    found=$name
    "$name" -c 'import ensurepip, venv' 2>/dev/null && exec "$name" -P "$@"
  fi
done
if [ -n "${found:-}" ]; then
  version=$("$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  what="the venv module of Python $version"
  debian="python$version-venv" fedora="python$version" homebrew="python@$version"
else
  what="Python 3.11 or newer"
  debian="python3 python3-venv" fedora="python3.13" homebrew="python@3.13"
fi
echo "The workbench needs $what. Install it with:" >&2
if command -v apt-get >/dev/null; then echo "  sudo apt-get install -y $debian" >&2
elif command -v dnf >/dev/null; then echo "  sudo dnf install -y $fedora" >&2
elif command -v brew >/dev/null; then echo "  brew install $homebrew" >&2
else echo "  your system's package manager (package: python3)" >&2
fi
exit 1
