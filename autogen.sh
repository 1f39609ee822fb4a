#!/bin/sh
# Makes ./configure and the Makefile.in from configure.ac and Makefile.am.
set -eu
cd "$(dirname "$0")"
command -v autoreconf >/dev/null || {
	echo "autogen.sh: autoreconf is missing; type: apt-get install autoconf automake pkg-config" >&2
	exit 1
}
mkdir -p build-aux m4
exec autoreconf --install --force --warnings=all
