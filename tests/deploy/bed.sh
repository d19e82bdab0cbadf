# The bed of the deployment test: Debian hosts with systemd, sshd, an address and a root file system of their own, in one
# private set of namespaces without a way out, in about three seconds. Source it, call bed_enter first.
#
#   bed_enter SCRIPT ARGUMENT...   runs SCRIPT again inside; returns there, and never outside: nothing of it stays behind
#   bed_up NAME ADDRESS            a host, booted (bed_await NAME...: until its sshd answers)
#   bed_on NAME COMMAND...         COMMAND typed over ssh on a host, from the control host
#   bed_cut NAME / bed_heal        no packet from or to it / all are connected again
#   bed_power_off NAME             every process of it gone at once, as by a power cut; bed_boot NAME starts it again,
#                                  bed_new_machine NAME ADDRESS another one in its place, with nothing on its disk
#
# Hosts live in $BED/hosts, from what prepare left in $BED. One kernel serves all: a power cut loses processes and
# sockets, but not what was written without fsync; LimitNOFILE above the machine's own limit is silently lowered.
BED_CONTROL=peter-ansible01

# Where control groups are made: both hierarchies of a hybrid machine, or the only one.
bed_cgroup_roots() {
    if [ -d /sys/fs/cgroup/unified ]; then
        echo /sys/fs/cgroup/systemd /sys/fs/cgroup/unified
    else
        echo /sys/fs/cgroup
    fi
}

# One line that says why no bed can be made here; nothing when one can.
bed_missing() {
    local tool root
    [ "$(id -u)" -eq 0 ] || { echo "it needs root, to make namespaces"; return; }
    for tool in systemd-nspawn mmdebstrap ip nft ssh ssh-keygen apt-ftparchive; do
        command -v "$tool" >/dev/null || { echo "$tool is not installed"; return; }
    done
    unshare --mount --net --pid --fork --propagation private sh -c 'mount -t tmpfs none /run && ip link add bed-probe type bridge' 2>/dev/null ||
        { echo "this machine does not let root make namespaces, mounts and bridges"; return; }
    for root in $(bed_cgroup_roots); do
        mkdir "$root/bed-probe.$$" 2>/dev/null && rmdir "$root/bed-probe.$$" || { echo "control groups cannot be made in $root"; return; }
    done
}

bed_remove_cgroups() {
    local root try
    for try in $(seq 50); do
        for root in $(bed_cgroup_roots); do
            [ ! -d "$root/$BED_CGROUP" ] || find "$root/$BED_CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null
        done
        for root in $(bed_cgroup_roots); do
            [ ! -d "$root/$BED_CGROUP" ] || { read -rt 0.2 <> <(:) || true; continue 2; }
        done
        return 0
    done
    echo "control groups of $BED_CGROUP are still in use" >&2
    return 1
}

# Outside, afterwards: no process is in a namespace of the bed, no mount or network namespace of it is seen, no control group.
bed_left_nothing() {
    local link left=0
    [ -s "$BED/hosts/namespaces" ] || { echo "the namespaces were not written down"; return 1; }
    while read -r link; do
        [ -z "$link" ] || { echo "a process is in $link"; left=1; }
    done < <(for link in /proc/[0-9]*/ns/*; do readlink "$link"; done 2>/dev/null | sort -u | comm -12 - <(sort -u "$BED/hosts/namespaces"))
    ! grep -F -e "$BED/hosts" -e " bed-peter-" /proc/self/mounts || left=1
    for link in $(bed_cgroup_roots); do [ ! -e "$link/$BED_CGROUP" ] || { echo "$link/$BED_CGROUP"; left=1; }; done
    return $left
}
# Inside: the namespaces that are the bed's alone, of this shell and of every process of the hosts.
bed_write_namespaces() {
    local link
    { for link in /proc/[0-9]*/ns/*; do readlink "$link"; done 2>/dev/null; cat "$BED/hosts/namespaces" 2>/dev/null; } |
        sort -u | comm -23 - "$BED/hosts/outside" >"$BED/hosts/namespaces.new"
    mv "$BED/hosts/namespaces.new" "$BED/hosts/namespaces"
}

bed_enter() {
    local child status link
    if [ -z "${BED_INSIDE:-}" ]; then
        export BED BED_INSIDE=1 BED_CGROUP=ottla-bed.$$
        mkdir -p "$BED/hosts"
        rm -f "$BED/hosts/namespaces"
        for link in /proc/self/ns/*; do readlink "$link"; done | sort -u >"$BED/hosts/outside"
        unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private "$@" &
        child=$!
        trap 'kill -KILL "$child"' TERM INT HUP
        wait "$child"
        status=$?
        bed_remove_cgroups || status=1
        # A namespace that was killed takes a moment to end.
        for link in $(seq 50); do
            bed_left_nothing >/dev/null && break
            read -rt 0.2 <> <(:) || true
        done
        bed_left_nothing && echo "ok      no process, mount, namespace or control group is left behind" || { echo "FAILED  something is left behind"; status=1; }
        # The kernel made directories of the overlays that not even their owner may enter.
        rm -rf "$BED/hosts"
        exit "$status"
    fi
    mount -t tmpfs tmpfs /run
    mkdir -p /run/netns /run/systemd /run/lock "$BED/hosts"
    ip link set lo up
    ip netns add switch
    ip -n switch link add lan type bridge
    ip -n switch link set lan up
    bed_write_namespaces
}

# The host's port in the switch: names of links are short.
bed_port() { echo "p-${1#peter-}"; }

bed_boot() { # NAME: starts it, or starts it again
    local name=$1 dir=$BED/hosts/$1 root
    for root in $(bed_cgroup_roots); do mkdir -p "$root/$BED_CGROUP/$name"; done
    (
        for root in $(bed_cgroup_roots); do echo "$BASHPID" >"$root/$BED_CGROUP/$name/cgroup.procs"; done
        export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
        # 133 is a reboot of the host.
        exec setsid bash -c 'while :; do systemd-nspawn "$@"; [ $? -eq 133 ] || exit 0; done' boot \
            --quiet --register=no --keep-unit --kill-signal=SIGRTMIN+4 --boot --directory="$dir/root" --machine="$name" \
            --hostname="$name" --resolv-conf=off --timezone=off --link-journal=no --console=read-only \
            --network-namespace-path="/run/netns/$name"
    ) </dev/null >>"$dir/console.log" 2>&1 &
    echo $! >"$dir/pid"
}

bed_up() { # NAME ADDRESS
    local name=$1 address=$2
    ip netns add "$name"
    ip -n "$name" link set lo up
    ip link add eth0 netns "$name" type veth peer name "$(bed_port "$name")" netns switch
    ip -n switch link set "$(bed_port "$name")" master lan up
    ip -n "$name" address add "$address/20" dev eth0
    ip -n "$name" link set eth0 up
    bed_new_machine "$name" "$address"
}

bed_new_machine() { # NAME ADDRESS: boots what has nothing yet but its place in the network
    local name=$1 address=$2 dir=$BED/hosts/$1 lower=$BED/base
    [ "$name" != "$BED_CONTROL" ] || lower=$BED/control/upper:$lower
    ! mountpoint -q "$dir/root" || umount -l "$dir/root"
    rm -rf "$dir"
    mkdir -p "$dir"/{upper,work,root}
    mount -t overlay "bed-$name" -o "lowerdir=$lower,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
    echo "127.0.0.1 localhost" >"$dir/root/etc/hosts"
    echo "$name" >"$dir/root/etc/hostname"
    systemd-id128 new >"$dir/root/etc/machine-id"
    rm -f "$dir/root/etc/resolv.conf" "$dir/root"/etc/apt/sources.list.d/* "$dir/root"/etc/apt/apt.conf.d/*
    echo "deb [trusted=yes] http://$BED_MIRROR_ADDRESS:8000/ ./" >"$dir/root/etc/apt/sources.list"
    # Its own host key, as a real host has.
    rm -f "$dir/root"/etc/ssh/ssh_host_*
    ssh-keygen -q -t ed25519 -N '' -f "$dir/root/etc/ssh/ssh_host_ed25519_key"
    echo "$address" >"$dir/address"
    bed_boot "$name"
}

# The mirror of packages, served at an address of the control host.
bed_serve_mirror() {
    ip netns exec "$BED_CONTROL" python3 -m http.server 8000 --bind "$BED_MIRROR_ADDRESS" --directory "$BED/mirror" >/dev/null 2>&1 &
}

bed_answers() { ip netns exec "$BED_CONTROL" timeout 0.5 bash -c "exec 3<>/dev/tcp/$(cat "$BED/hosts/$1/address")/22 && read -t 0.4 line <&3" 2>/dev/null; }
bed_await() { # NAME...
    local name deadline=$((SECONDS + 300))
    for name in "$@"; do
        until bed_answers "$name"; do
            [ "$SECONDS" -lt "$deadline" ] || { echo "$name does not answer; its console:" >&2; tail -n 20 "$BED/hosts/$name/console.log" >&2; return 1; }
            read -rt 0.1 <> <(:) || true
        done
    done
}

bed_ssh() { # ADDRESS-OR-NAME ARGUMENT...: ssh as from the control host
    ip netns exec "$BED_CONTROL" ssh -i "$BED/id" -o BatchMode=yes -o LogLevel=ERROR -o ConnectTimeout=10 \
        -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "$@"
}
bed_on() { # NAME COMMAND...
    local name=$1
    shift
    bed_ssh "root@$(cat "$BED/hosts/$name/address")" "$@"
}

bed_cut() {
    ip netns exec switch nft "add table bridge cut; add chain bridge cut forward { type filter hook forward priority 0; }
        add rule bridge cut forward iifname $(bed_port "$1") drop; add rule bridge cut forward oifname $(bed_port "$1") drop"
}
bed_heal() { ip netns exec switch nft flush ruleset; }

bed_init_of() { # the first process of a host
    local shell nspawn
    shell=$(cat "$BED/hosts/$1/pid")
    nspawn=$(pgrep -P "$shell" -x systemd-nspawn) && pgrep -P "$nspawn" | head -n 1
}
bed_power_off() {
    local try
    kill -KILL "$(bed_init_of "$1")"
    for try in $(seq 200); do
        [ -d "/proc/$(cat "$BED/hosts/$1/pid")" ] || return 0
        read -rt 0.05 <> <(:) || true
    done
    echo "$1 is still there" >&2
    return 1
}
