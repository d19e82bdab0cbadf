#!/bin/bash
# destroy.sh DIRECTORY...: each is removed, or emptied where it is a disk of its own. Prints those in which there was something.
set -euo pipefail
for directory in "$@"; do
    [ -d "$directory" ] || continue
    if mountpoint --quiet "$directory"; then
        inside=(-xdev -mindepth 1 ! -path "$directory/lost+found" ! -path "$directory/lost+found/*")
        [ -n "$(find "$directory" "${inside[@]}" -print -quit)" ] || continue
        find "$directory" "${inside[@]}" -delete
    else
        rm -rf --one-file-system "$directory"
    fi
    echo "$directory"
done
