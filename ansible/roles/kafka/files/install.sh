#!/bin/bash
# install.sh ARCHIVE SHA256 RELEASE: unpacks the release beside those that are there, checks that its programs run here,
# and only then gives it its name. Nothing half unpacked is ever found under that name.
set -euo pipefail
archive=$1 sum=$2 release=$3
target=/usr/local/ottla-$release
[ ! -e "$target" ] || exit 0
trap 'rm -rf "$target.new" "$archive"' EXIT
echo "$sum  $archive" | sha256sum --check --status || { echo "the archive of $release does not have the checksum $sum" >&2; exit 1; }
rm -rf "$target.new"
mkdir "$target.new"
tar -C "$target.new" --strip-components=1 --no-same-owner -xzf "$archive"
missing=$(ldd "$target.new"/bin/kafka-server-start "$target.new"/bin/ottla-tools | awk '/not found/ { print $1 }' | sort -u | tr '\n' ' ')
[ -z "$missing" ] || { echo "release $release needs libraries that this host lacks: $missing" >&2; exit 1; }
"$target.new/bin/kafka-server-start" --version >/dev/null
"$target.new/bin/kafka-topics" --version >/dev/null
[ "$(sed -n 's/^release=//p' "$target.new/release")" = "$release" ] || { echo "the archive holds another release than $release" >&2; exit 1; }
# Settings outlive releases: they are in /etc/kafka, and the book's paths lead there.
mv "$target.new/config" "$target.new/config.dist"
ln -s /etc/kafka "$target.new/config"
sync -f "$target.new"
mv "$target.new" "$target"
