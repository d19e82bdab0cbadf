#!/usr/bin/env bash
# Installs what building, running and testing need. The only place with package names. Quiet and quick when all is there.
# deps.sh [apache | deploy | bench]: also what fetches and drives Apache Kafka for `make test-apache`; or what boots hosts
# for `make test-deploy` and checks its plays; or what `make bench` makes file systems and networks with, and plots.
set -euo pipefail

build="gcc libc6-dev make git libev-dev libzookeeper-mt-dev libisal-dev libssl-dev zlib1g-dev liblz4-dev libsnappy-dev libzstd-dev
       libjansson-dev uthash-dev libpcre2-dev libmicrohttpd-dev libsystemd-dev"
run="libzookeeper-java libslf4j-java openjdk-17-jre-headless procps"
test="check libsubunit-dev librdkafka-dev kcat python3 python3-kafka clang clang-format libclang-rt-14-dev strace valgrind curl"
[ "${1:-}" != apache ] || test+=" maven openjdk-17-jdk-headless"

[ "${1:-}" != bench ] || test+=" gnuplot-nox iproute2 e2fsprogs util-linux"

[ "${1:-}" != deploy ] || test+=" systemd-container mmdebstrap openssh-client iproute2 nftables apt-utils binutils ansible-core ansible-lint yamllint"

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || {
    echo "deps: no apt-get here. Install the equivalents of these Debian packages by hand, then run make again:" $build $run $test >&2
    exit 1
}
missing=()
for package in $build $run $test; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "deps: installing ${missing[*]}"
root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "deps: not root and no sudo; as root run: apt-get install ${missing[*]}" >&2; exit 1; }
    root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! "${root[@]}" apt-get -q -y update >"$log" 2>&1 ||
   ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${missing[@]}" >>"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "deps: apt-get failed; mend that and run make again" >&2
    exit 1
fi
