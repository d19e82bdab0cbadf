# The hosts of hosts.example on the bed, and a fourth broker that the inventory does not know yet; ansible-playbook typed on
# the control host. Source it after bed.sh, within bed_enter.
INVENTORY=$root/hosts.example
FOURTH=peter-kafka04 FOURTH_ADDRESS=172.31.36.250

# "NAME ADDRESS" of every host of the inventory.
inventory_hosts() { sed -nE 's/^(peter-[a-z0-9]+)\.foo\.bar +ansible_host=([0-9.]+).*/\1 \2/p' "$INVENTORY"; }
BED_MIRROR_ADDRESS=$(inventory_hosts | awk -v name=$BED_CONTROL '$1 == name { print $2 }')
control_root() { echo "$BED/hosts/$BED_CONTROL/root"; }

cluster_hosts_up() {
    local name address
    { inventory_hosts; echo "$FOURTH $FOURTH_ADDRESS"; } >"$BED/hosts/list"
    while read -r name address; do
        bed_up "$name" "$address" </dev/null
    done <"$BED/hosts/list"
    bed_serve_mirror
    bed_await $(cut -d' ' -f1 "$BED/hosts/list")
}

# What an operator has on the control host: a checkout, what `make dist` built, a key, the host keys of the others.
control_prepare() {
    local to
    to=$(control_root)/root
    mkdir -p "$to/ottla/build"
    cp -r "$root/ansible" "$root/hosts.example" "$to/ottla/"
    cp -r "$BUILD/dist" "$to/ottla/build/"
    cp "$root/hosts.example" "$to/ottla/ansible/hosts"
    install -m 600 "$BED/id" "$to/.ssh/id_ed25519"
    control_know_hosts
}
control_know_hosts() {
    local name address
    while read -r name address; do
        echo "$address $(cut -d' ' -f1,2 "$BED/hosts/$name/root/etc/ssh/ssh_host_ed25519_key.pub")"
    done <"$BED/hosts/list" >"$(control_root)/root/.ssh/known_hosts"
}

# play PLAYBOOK ARGUMENT...: on the control host; what it printed is in $LAST.
LAST=$BED/hosts/last-play
play() {
    bed_on $BED_CONTROL "cd ottla/ansible && ansible-playbook $*" >"$LAST" 2>&1
    local status=$?
    { echo "\$ ansible-playbook $*"; cat "$LAST"; echo "status $status"; } >>"$BED/hosts/plays.log"
    return $status
}
