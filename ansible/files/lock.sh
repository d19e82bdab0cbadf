#!/bin/bash
# lock.sh FILE: FILE belongs to the ansible-playbook that runs this, until it ends; status 1, and whose it is, when it
# belongs to another one that still runs. Nothing is to be removed afterwards: a process that is gone holds nothing.
file=$1 owner=$$
parent_of() { sed 's/.*) . //; s/ .*//' "/proc/$1/stat" 2>/dev/null; }
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
while next=$(parent_of "$owner") && [ "${next:-0}" -gt 1 ]; do
    owner=$next
    tr '\0' ' ' <"/proc/$owner/cmdline" | grep -q ansible-playbook && play=$owner
done
exec 9>>"$file.lock"
flock 9
read -r holder since rest <"$file" 2>/dev/null
if [ -n "$holder" ] && [ "$holder" != "$play" ] && [ "$(started "$holder")" = "$since" ]; then
    echo "another play of this directory is running, as process $holder: two at a time could restart two brokers at once"
    exit 1
fi
echo "$play $(started "$play")" >"$file"
