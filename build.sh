#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Build, demonstrate, test and install the plugins. `./build.sh help` says how.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$top/.venv
bin=$top/dist/bin
parts=$top/dist/parts
zig=$top/dist/zig
manual=$top/dist/manual
python=${CNIPY_PYTHON:-/usr/bin/python3}
root=/var/cache/cnipy
names=()
tools='' client=''
# What another kernel runs of the tests, where it is to run few.
brief='(needs_kernel and not thorough) or every_kernel'

usage() {
    cat <<'END'
usage: build.sh COMMAND [OPTION...]

  build     make dist/bin: one archive, and a link to it for each plugin
  demo      build, then show two containers talking in a throw-away network
  test      build, then run all checks and tests; further arguments go to pytest
  bench     build, then measure beside the reference plugins and netavark, as root
  install   build, then copy into a plugin directory
  uninstall have a plugin directory as it was before install

options of every command, before the others:
  --python PATH   absolute interpreter for the plugins (CNIPY_PYTHON, /usr/bin/python3)
  --root DIR      where a plugin extracts itself once (/var/cache/cnipy)
  --copies        self-standing copies in dist/bin rather than links
  --client[=CPU]  build dist/client/CPU/cnipy too, for this machine's CPU, x86_64 or
                  aarch64: a packed file that begins with a small client of the warm
                  server. Once built it is kept up to date, and is what install installs

options of test, before those of pytest:
  --kernel SERIES run tests/netns and tests/examples on Debian's kernel 6.1 or 6.12, in a
                  virtual machine on this machine's files; downloaded to
                  /var/cache/cnipy-kernels (CNIPY_KERNELS)
  --brief         there only what most kernels lack, and one whole chain
  --beside SERIES run all tests here, and that brief part there at the same time

options of bench:
  --quick         three minutes, to see that all of it runs
  --only NAME...  instructions, calls, directory, status, chain, at-once, growth, memory, traffic

options of install:
  --force         keep files of others beside ours as NAME.reference
  --conf-dir DIR  made for network configurations (/etc/cni/net.d)
  --no-warm       do not have systemd start the warm server (docs/warm.md)
  --dhcp          have systemd start the keeper of leases (docs/plugins/dhcp.md)
  --net           have systemd start the agent of many nodes (docs/many-nodes.md)

options of install and uninstall:
  --bin-dir DIR   the plugin directory (/opt/cni/bin)
  --unit-dir DIR  units of systemd (/etc/systemd/system, where systemd runs)
  --share-dir DIR man page and completions (/usr/local/share with /opt/cni/bin, else none)
END
}

die() {
    printf 'build.sh: %s\n' "$*" >&2
    exit 1
}

say() {
    printf 'build.sh: %s\n' "$*" >&2
}

# lack PROBE=PACKAGE...: the packages whose probe, a command or an absolute path, is not
# there, one a line.
lack() {
    local pair probe
    for pair in "$@"; do
        probe=${pair%%=*}
        if [[ $probe == /* ]]; then [[ -e $probe ]] && continue; fi
        if [[ $probe != /* ]] && command -v "$probe" >/dev/null; then continue; fi
        printf '%s\n' "${pair#*=}"
    done
}

# What a command needs of the system, the interpreter included, in one round.
need() {
    local missing
    mapfile -t missing < <(lack "$@")
    if [[ $python == /usr/bin/python3 ]] &&
        ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        missing+=(python3 python3-venv)
    fi
    install_packages "${missing[@]}"
}

install_packages() {
    (($#)) || return 0
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
        say "install packages: $* are missing, and this needs root and apt-get"
        return 1
    fi
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Debian starts and enables the services that a package brings. A firewall that comes
# up by itself is nothing that tests may do to a machine; where one is, it is left.
keep_stopped() {
    [[ -d /run/systemd/system ]] || return 0
    systemctl cat "$1" >/dev/null 2>&1 || systemctl mask --quiet "$1"
}

# The virtual environment is made anew when its ingredients changed. For building it has
# shiv and pydantic; for tests and benchmarks (`tools` is set) all of constraints.txt.
ensure_venv() {
    [[ $python == /* ]] || die "--python $python: not an absolute path"
    need
    [[ -x $python ]] || die "--python $python: no such interpreter"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "--python $python: Python 3.11 or newer is needed"
    local stamp wanted=(shiv pydantic)
    stamp=$("$python" -VV; echo "${wanted[@]}"; versions)
    if [[ ! -f $venv/stamp || $stamp != "$(<"$venv/stamp")" ]]; then
        say "making .venv"
        rm -rf "$venv" "$parts"
        "$python" -m venv "$venv"
        fetch -c "$top/constraints.txt" "${wanted[@]}"
        printf '%s' "$stamp" >"$venv/stamp"
    fi
    if [[ $tools && ! -f $venv/tools ]]; then
        fetch --no-deps -r <(versions)
        touch "$venv/tools"
    fi
}

# Exact versions of all that the packed file and the tests depend on: neither the compiler
# of the small client, nor what writes the man page.
versions() {
    grep -vE '^(ziglang|shtab|argparse-manpage)==' "$top/constraints.txt"
}

# pip install, a line for each package: it takes minutes where the network is slow.
fetch() {
    "$venv/bin/python" -m pip install --progress-bar off --disable-pip-version-check \
        "$@" | sed -un 's/^Collecting \([^ ]*\).*/build.sh: fetching \1/p' >&2
}

# What the plugins need of other projects. pydantic is not among it: what models say is
# written down (launcher/schemas.py).
ensure_parts() {
    local packages stamp
    mapfile -t packages < <("$venv/bin/python" - "$top/pyproject.toml" <<'END'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    listed = tomllib.load(file)["project"]["dependencies"]
print(*(each for each in listed if not each.startswith("pydantic")), sep="\n")
END
    )
    stamp="${packages[*]} $(versions)"
    if [[ -f $parts/stamp && $stamp == "$(<"$parts/stamp")" ]]; then return; fi
    say "gathering dependencies"
    rm -rf "$parts"
    mkdir -p "$parts"
    fetch --no-compile --target "$parts/common" -c "$top/constraints.txt" \
        "${packages[@]}"
    printf '%s' "$stamp" >"$parts/stamp"
}

# A C compiler for every CPU, in 100 MB; for those who ask for the small client.
ensure_zig() {
    local wanted
    wanted=$(grep '^ziglang==' "$top/constraints.txt")
    if [[ -f $zig/stamp && $wanted == "$(<"$zig/stamp")" ]]; then return; fi
    rm -rf "$zig"
    fetch --target "$zig" "$wanted"
    printf '%s' "$wanted" >"$zig/stamp"
}

# What writes the man page and the completions out of the command's parsers.
ensure_writers() {
    local wanted=()
    mapfile -t wanted < <(grep -E '^(shtab|argparse-manpage)==' "$top/constraints.txt")
    if [[ -f $manual/writers/stamp && ${wanted[*]} == "$(<"$manual/writers/stamp")" ]]; then
        return
    fi
    rm -rf "$manual"
    mkdir -p "$manual/writers"
    fetch --no-deps --target "$manual/writers" "${wanted[@]}"
    printf '%s' "${wanted[*]}" >"$manual/writers/stamp"
}

# Which plugins there are, the register alone says.
read_names() {
    local listed
    listed=$(cd "$top" &&
        "$venv/bin/python" -B -c 'import plugins; print(*plugins.REGISTER, sep="\n")')
    mapfile -t names <<<"$listed"
}

# All that the packed file is made of.
ingredients() {
    local rooms=(launcher cnipy plugins cni_common conf-examples docs/keys.md docs/plugins)
    (cd "$top" &&
        find "${rooms[@]}" -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum &&
        sha256sum build.sh pyproject.toml dist/parts/stamp)
    printf '%s\n' "$python" "$root"
    "$venv/bin/python" -VV
}

build() {
    exec 9<"$top"
    flock 9
    ensure_venv
    local made compiler=''
    if [[ $client ]]; then ensure_zig & compiler=$!; fi # which takes as long as the rest
    ensure_parts
    read_names
    made=$(ingredients | sha256sum)
    if [[ ! -f $top/dist/made || ! -x $bin/cnipy || $made != "$(<"$top/dist/made")" ]]; then
        rm -f "$top/dist/made"
        pack
        printf '%s' "$made" >"$top/dist/made"
    fi
    link_names
    write_manual "$made"
    [[ ! $compiler ]] || wait "$compiler"
    build_clients "$made"
    exec 9<&-
    say "dist/bin: cnipy ${names[*]} (build $(<"$top/dist/build"))"
}

pack() {
    local own=$top/dist/own room
    rm -rf "$own"
    mkdir -p "$own" "$bin"
    for room in launcher cnipy plugins cni_common; do
        (cd "$top" && find "$room" -name '*.py' -exec cp --parents -t "$own" {} +)
    done
    rm -f "$own/launcher/"{gate,rare,extract,bundling,pack,per_cpu,schemas,json_schemas,documented,key_tables,manual}.py
    write_schemas "$own"
    if [[ -d $top/conf-examples ]]; then
        mkdir "$own/cnipy/examples"
        cp "$top/conf-examples/"*.conflist "$own/cnipy/examples/"
    fi
    "$venv/bin/shiv" --reproducible --site-packages "$parts/common" \
        --site-packages "$own" --entry-point launcher.main:run \
        --output-file "$top/dist/shiv.pyz" >/dev/null
    (cd "$top" && "$venv/bin/python" -m launcher.pack "$top/dist/shiv.pyz" \
        "$bin/cnipy" --python "$python" --root "$root") >"$top/dist/build"
}

# Each model's schema goes into the tree, which then builds every model from it.
write_schemas() {
    (cd "$top" && export PYTHONPATH=$parts/common &&
        "$venv/bin/python" -B -m launcher.schemas "$1" &&
        "$venv/bin/python" -B -m launcher.json_schemas "$1/launcher/keys.json")
    "$venv/bin/python" -I -S -B -c 'import sys
sys.path[:0] = sys.argv[1:]
from launcher.everything import build_every_model
build_every_model()' "$1" "$parts/common"
}

# build_clients MADE: packed files that begin with a program, of the packed file that MADE
# stands for: those that there are, and the one that --client asks for.
build_clients() {
    local room cpu
    if [[ $client ]]; then mkdir -p "$top/dist/client/$client"; fi
    for room in "$top"/dist/client/*/; do
        cpu=$(basename "$room")
        [[ -d $room ]] || continue
        if [[ -f $room/made && $1 == "$(<"$room/made")" ]]; then continue; fi
        ensure_zig
        say "building dist/client/$cpu/cnipy"
        (cd "$top" && PYTHONPATH=$parts/common:$zig ZIG_GLOBAL_CACHE_DIR=$zig/cache \
            "$venv/bin/python" -B -m launcher.per_cpu "$bin/cnipy" "$room/cnipy" \
            --cpu "$cpu")
        printf '%s' "$1" >"$room/made"
    done
}

# write_manual MADE: dist/manual/share, as it lies below a share directory.
write_manual() {
    ensure_writers
    if [[ -f $manual/made && $1 == "$(<"$manual/made")" ]]; then return; fi
    (cd "$top" && PYTHONPATH=$parts/common:$manual/writers \
        "$venv/bin/python" -B -m launcher.manual "$manual/share")
    printf '%s' "$1" >"$manual/made"
}

link_names() {
    local name
    for name in "${names[@]}"; do
        if [[ $copies ]]; then
            cp --remove-destination "$bin/cnipy" "$bin/$name"
        else
            # One that leads there already stays, for whoever is about to execute it.
            [[ $(readlink "$bin/$name") == cnipy ]] || ln -sfnT cnipy "$bin/$name"
        fi
    done
}

demo() {
    need nft=nftables ip=iproute2 dnsmasq=dnsmasq-base
    build
    "$bin/cnipy" demo "$@"
}

run_tests() {
    local kernel='' chosen='' beside='' wanted=() files=()
    while (($#)); do
        case $1 in
            --kernel) kernel=${2:?--kernel needs a series, 6.1 or 6.12}; shift 2 ;;
            --brief) chosen=$brief; shift ;;
            --beside) beside=${2:?--beside needs a series, 6.1 or 6.12}; shift 2 ;;
            *) break ;;
        esac
    done
    [[ ! $beside || (! $kernel && $# == 0) ]] || die "test: --beside runs all tests"
    wanted=(nft=nftables ip=iproute2 iptables=iptables conntrack=conntrack curl=curl
        shellcheck=shellcheck sysctl=procps tcpdump=tcpdump man=man-db groff=groff-base
        /bin/busybox=busybox-static podman=podman containerd=containerd runc=runc
        strace=strace systemd-analyze=systemd dnsmasq=dnsmasq-base firewalld=firewalld
        dhcpd=isc-dhcp-server dhcpcd=dhcpcd-base wg=wireguard-tools
        etcd=etcd-server etcdctl=etcd-client openssl=openssl faketime=faketime
        dbus-daemon=dbus mke2fs=e2fsprogs
        /usr/lib/cni/bridge=containernetworking-plugins go=golang-go
        /usr/share/gocode/src/github.com/containernetworking/cni=golang-github-appc-cni-dev)
    if [[ $kernel || $beside || ${CNI_TESTS_STRICT:-} ]]; then
        wanted+=(qemu-system-x86_64=qemu-system-x86 depmod=kmod cpio=cpio)
    fi
    if [[ ${CNI_TESTS_STRICT:-} && ! $client ]]; then client=$(uname -m); fi
    if ((EUID == 0)); then
        keep_stopped firewalld.service
        keep_stopped isc-dhcp-server.service
        keep_stopped etcd.service
    fi
    need "${wanted[@]}" || say "tests that need what is missing are skipped"
    tools=1
    build
    cd "$top"
    if [[ $kernel ]]; then
        if [[ $chosen ]]; then mapfile -t files < <(brief_files "$@"); set -- "${files[@]}"; fi
        test_on_kernel "$kernel" "$chosen" "$@"
        return
    fi
    # A part of the tests cannot reach the coverage that all of them must.
    if (($#)); then
        exec "$venv/bin/python" -m pytest "$@"
    fi
    test_everything "$beside"
}

# test_everything [SERIES]: both passes here, and beside them the brief part on that kernel.
test_everything() {
    local at_once=() machine='' late='' status=0 printed=$top/dist/cold-starts.log files
    # Tests wait for much of their time, so twice as many as there are cores.
    at_once=(-n "$(($(nproc) * 2))" --dist worksteal)
    # Without bytecode every process of every worker would compile all that it imports.
    unset PYTHONDONTWRITEBYTECODE
    if [[ $1 ]]; then
        # Bytecode of all is written by this one process, rather than by each worker, and
        # by the machine that is ten times slower.
        mapfile -t files < <(brief_files)
        set -m # a process group of its own, to end it as one
        in_one_piece test_on_kernel "$1" "$brief" "${files[@]}" &
        machine=$!
        set +m
        # shellcheck disable=SC2064 # this machine
        trap "kill -- -$machine 2>/dev/null || true" EXIT
        export CNI_TESTS_ELSEWHERE=$1
    fi
    say "with the warm server"
    CNI_TESTS_WARM=1 "$venv/bin/python" -m pytest -q "${at_once[@]}" \
        tests/runtimes tests/recordings tests/examples tests/differential
    say "with cold starts"
    if [[ -t 1 ]]; then at_once+=(--color=yes); fi
    "$venv/bin/python" -m pytest "${at_once[@]}" --cov --cov-report=term |
        tee "$printed" || status=$?
    [[ $machine ]] || return "$status"
    if kill -0 "$machine" 2>/dev/null; then late=1; fi
    if ! wait "$machine"; then
        say "on Debian's kernel $1: failed, as printed above"
        status=1
    elif [[ $late ]]; then
        tail -n 1 "$printed" # the summary of most tests is the last line
    fi
    trap - EXIT
    return "$status"
}

# What a command prints appears at its end; returns its status.
in_one_piece() {
    local printed status=0
    printed=$("$@" 2>&1) || status=$?
    printf '\n%s\n' "$printed"
    return "$status"
}

# brief_files PYTEST-ARGUMENT...: those with tests of the brief part, of all or of some. To
# collect all takes a minute there, and seconds here.
brief_files() {
    "$venv/bin/python" -m pytest --collect-only -q -m "$brief" "$@" |
        sed -n 's/^\(tests[^:]*\)::.*/\1/p' | sort -u
}

# test_on_kernel SERIES MARKS PYTEST-ARGUMENT...: boots once, whatever is run. MARKS is the
# expression of marks that choose, or empty; it goes with files that have such tests.
test_on_kernel() {
    local series=$1 brief=$2 machine=()
    shift 2
    if [[ $brief ]]; then
        set -- -m "$brief" "$@"
        machine=(--alone)
    else
        (($#)) || set -- tests/netns tests/examples
        set -- -n "$(nproc)" --dist worksteal "$@"
    fi
    say "on Debian's kernel $series"
    PYTHONPATH=tests "$venv/bin/python" -m kernels "${machine[@]}" "$series" \
        "$venv/bin/python" -m pytest -p no:cacheprovider "$@"
}

# Namespaces that end with it, and what it extracts: nothing is left.
bench() {
    ((EUID == 0)) || die "bench: root is needed for network namespaces"
    need nft=nftables iptables=iptables ip=iproute2 go=golang-go valgrind=valgrind \
        /usr/lib/cni/bridge=containernetworking-plugins \
        /usr/lib/podman/netavark=netavark \
        /usr/share/gocode/src/github.com/containernetworking/cni=golang-github-appc-cni-dev
    tools=1
    build
    cd "$top"
    # shellcheck disable=SC2016 # the inner shell expands them
    exec unshare -n -m -p -f --kill-child --mount-proc --propagation private \
        /bin/sh -c 'mount -t tmpfs tmpfs "$1" && shift && exec "$@"' sh \
        "$(dirname "$root")" "$venv/bin/python" -m benchmarks "$@"
}

# A packed file, or a link to the one beside it, whatever was written through it.
is_ours() {
    if [[ ${1##*/} != cnipy && $(readlink "$1") == cnipy ]]; then return; fi
    head -c 1024 "$1" 2>/dev/null | grep -aq '^# cnipy, build '
}

# What the administrator put there is theirs: keep it beside ours, or refuse.
keep_foreign() {
    local directory=$1 name foreign=()
    for name in cnipy "${names[@]}"; do
        rm -f "$directory/.$name."[0-9]*
        [[ -e $directory/$name || -L $directory/$name ]] || continue
        is_ours "$directory/$name" || foreign+=("$name")
    done
    ((${#foreign[@]})) || return 0
    [[ $force ]] || die "install $directory: files of others are there: ${foreign[*]};" \
        "--force keeps each as NAME.reference, and uninstall puts it back"
    for name in "${foreign[@]}"; do
        cp -aT --no-dereference "$directory/$name" "$directory/.$name.$$"
        mv -fT "$directory/.$name.$$" "$directory/$name.reference"
        say "kept $directory/$name.reference"
    done
}

# The build before this one stays extracted, for calls that are under way.
prune() {
    local tree
    for tree in "$root"/*; do
        # Named after its build, and the Python that compiled it.
        [[ -d $tree && ! -L $tree && ${tree##*/} =~ ^([0-9a-f]{32})(\.[a-z0-9-]+)?$ ]] ||
            continue
        case ${BASH_REMATCH[1]} in
            "$1" | "$2") ;;
            *) rm -rf "$tree" && say "removed $tree" ;;
        esac
    done
}

# What starts the warm server where systemd is: its socket.
install_units() {
    local directory=$1 units=$2 runs='' state=''
    if [[ -d /run/systemd/system ]]; then runs=1; fi
    if [[ ! $units && $runs ]]; then units=/etc/systemd/system; fi
    if [[ ! $units ]]; then
        [[ ! $warm ]] || say "systemd does not run here: calls start cold unless" \
            "$directory/cnipy serve is started by other means"
        return 0
    fi
    if [[ $runs && $units == /etc/systemd/system ]]; then
        state=$(systemctl is-enabled cnipy-warm.socket 2>/dev/null || :)
        [[ $state != masked ]] || { say "cnipy-warm.socket is masked, and is left so"; return; }
    fi
    write_units cnipy-warm serve "$directory" "$units"
    [[ ! $runs || $units != /etc/systemd/system ]] || start_warm "$state"
}

# write_units NAME VERB DIRECTORY UNITS: a service, and the socket that starts it, if any.
write_units() {
    local name=$1 verb=$2 directory=$3 units=$4 file
    install -d -m 0755 "$units"
    sed "s|^ExecStart=.*|ExecStart=$directory/cnipy $verb|" \
        "$top/launcher/systemd/$name.service" >"$units/.$name.service"
    chmod 0644 "$units/.$name.service"
    mv -fT "$units/.$name.service" "$units/$name.service"
    file=$top/launcher/systemd/$name.socket
    if [[ -f $file ]]; then
        install -m 0644 "$file" "$units/"
        say "installed $name.socket and $name.service in $units"
    else
        say "installed $name.service in $units"
    fi
}

# The keeper of leases, which the reference has a daemon for: only where it is asked for.
install_keeper() {
    local directory=$1 units=$2 runs=''
    if [[ -d /run/systemd/system ]]; then runs=1; fi
    if [[ ! $units && $runs ]]; then units=/etc/systemd/system; fi
    if [[ ! $units ]]; then
        [[ ! $dhcp ]] || say "systemd does not run here: start $directory/cnipy dhcp" \
            "by other means"
        return 0
    fi
    [[ $dhcp || -f $units/cnipy-dhcp.service ]] || return 0
    write_units cnipy-dhcp dhcp "$directory" "$units"
    [[ $runs && $units == /etc/systemd/system ]] || return 0
    systemctl daemon-reload
    if [[ $dhcp ]]; then systemctl enable --quiet --now cnipy-dhcp.socket; fi
    # Leases are on record: the new one goes on with them.
    systemctl try-restart cnipy-dhcp.service
}

# The agent of many nodes: only where it is asked for, or was before.
install_agent() {
    local directory=$1 units=$2 runs=''
    if [[ -d /run/systemd/system ]]; then runs=1; fi
    if [[ ! $units && $runs ]]; then units=/etc/systemd/system; fi
    if [[ ! $units ]]; then
        [[ ! $net ]] || say "systemd does not run here: start $directory/cnipy net agent" \
            "by other means"
        return 0
    fi
    [[ $net || -f $units/cnipy-net.service ]] || return 0
    write_units cnipy-net 'net agent' "$directory" "$units"
    [[ $runs && $units == /etc/systemd/system ]] || return 0
    systemctl daemon-reload
    if [[ $net ]]; then systemctl enable --quiet --now cnipy-net.service; fi
    # Routes stay meanwhile: the new one compares, and goes on.
    systemctl try-restart cnipy-net.service
}

# install_manual DIRECTORY SHARE: the man page, and what bash and zsh complete. A trial in
# another directory leaves the rest of the system alone, unless SHARE is named.
install_manual() {
    local directory=$1 share=$2 file there
    if [[ ! $share && $directory == /opt/cni/bin ]]; then share=/usr/local/share; fi
    [[ $share ]] || return 0
    while read -r file; do
        there=$share/$file
        if [[ -e $there || -L $there ]] && ! grep -aqsF "$(manual_mark)" "$there"; then
            say "left $there, which is another's"
            continue
        fi
        install -d -m 0755 "${there%/*}"
        install -m 0644 "$manual/share/$file" "$there.$$"
        mv -fT "$there.$$" "$there"
    done < <(cd "$manual/share" && find . -type f -printf '%P\n' | sort)
    say "installed the man page and completions in $share"
}

manual_mark() {
    sed -n 's/^MARK = "\(.*\)"$/\1/p' "$top/cnipy/manual.py"
}

# start_warm STATE: the socket is enabled, unless it was disabled before (STATE).
start_warm() {
    systemctl daemon-reload
    if [[ ! $warm ]]; then
        systemctl disable --quiet --now cnipy-warm.socket
        systemctl stop cnipy-warm.service
        say "cnipy-warm.socket is disabled: calls start cold"
    elif [[ $1 == disabled ]]; then
        say "cnipy-warm.socket was disabled before, and is left so: calls start cold;" \
            "systemctl enable --now cnipy-warm.socket"
    elif systemctl enable --quiet --now cnipy-warm.socket; then
        # One of an earlier build would be ended by the first call, which is cold.
        systemctl try-restart cnipy-warm.service
        say "enabled cnipy-warm.socket"
    else
        say "cnipy-warm.socket does not start: calls start cold;" \
            "systemctl status cnipy-warm.socket says why"
    fi
}

install_plugins() {
    local directory=/opt/cni/bin configurations=/etc/cni/net.d units='' force='' warm=1
    local dhcp='' net='' share=''
    local name before='' now file
    while (($#)); do
        case $1 in
            --bin-dir) directory=${2:?--bin-dir needs a directory}; shift 2 ;;
            --conf-dir) configurations=${2:?--conf-dir needs a directory}; shift 2 ;;
            --unit-dir) units=${2:?--unit-dir needs a directory}; shift 2 ;;
            --share-dir) share=${2:?--share-dir needs a directory}; shift 2 ;;
            --force) force=1; shift ;;
            --no-warm) warm=''; shift ;;
            --dhcp) dhcp=1; shift ;;
            --net) net=1; shift ;;
            *) usage >&2; die "install: unknown option $1" ;;
        esac
    done
    ((EUID == 0)) || die "install $directory: run as root"
    build
    now=$(<"$top/dist/build")
    install -d -m 0755 -o root -g root "$directory"
    directory=$(realpath "$directory")
    if [[ -f $directory/cnipy ]] && is_ours "$directory/cnipy"; then
        before=$(head -c 1024 "$directory/cnipy" | sed -n 's/^# cnipy, build //p')
    fi
    keep_foreign "$directory"
    file=$top/dist/client/$(uname -m)/cnipy
    [[ -x $file ]] || file=$bin/cnipy
    install -m 0755 -o root -g root "$file" "$directory/.cnipy.$$"
    mv -fT "$directory/.cnipy.$$" "$directory/cnipy"
    for name in "${names[@]}"; do
        ln -s cnipy "$directory/.$name.$$"
        mv -fT "$directory/.$name.$$" "$directory/$name"
    done
    env -i "$directory/cnipy" --help >/dev/null # which extracts the tree
    prune "$now" "$before"
    local tree found=''
    # Where the root cannot be written to, or others may write there, /run has the tree.
    for tree in {/run/cnipy,"$root"}/"$now".*; do
        if [[ -d $tree ]]; then found=$tree; fi
    done
    say "installed cnipy ${names[*]} in $directory, extracted to $found"
    install_units "$directory" "$units"
    install_keeper "$directory" "$units"
    install_agent "$directory" "$units"
    install_manual "$directory" "$share"
    [[ -d $configurations ]] || install -d -m 0755 "$configurations"
    what_next "$directory" "$configurations"
}

what_next() {
    local directory=$1 configurations=$2 file has=''
    for file in "$configurations"/*.{conflist,conf,json}; do
        if [[ -f $file ]]; then has=1; fi
    done
    say "next:"
    if [[ ! $has ]]; then
        say "  cp $top/conf-examples/10-containerd-bridge.conflist $configurations/"
        say "    or another of them: conf-examples/README.md says which is for what"
    fi
    say "  ln -s $directory/cnipy /usr/local/sbin/cnipy; cnipy status"
    say "  docs/runtimes.md says how each runtime finds plugins and networks"
}

# The command does it, so that a node without a checkout can; here from the sources.
uninstall_plugins() {
    local directory=/opt/cni/bin others=()
    while (($#)); do
        case $1 in
            --bin-dir) directory=${2:?--bin-dir needs a directory}; shift 2 ;;
            --unit-dir | --share-dir)
                others+=("$1" "${2:?$1 needs a directory}"); shift 2 ;;
            *) usage >&2; die "uninstall: unknown option $1" ;;
        esac
    done
    [[ -x $python ]] || die "--python $python: no such interpreter"
    "$python" -I -S -B -c 'import sys
sys.path.insert(0, sys.argv.pop(1))
from launcher.main import run
run(sys.argv[1:])' "$top" cnipy uninstall --bin-dir "$directory" "${others[@]}"
}

main() {
    local command=${1:-help} copies=''
    shift || true
    while (($#)); do
        case $1 in
            --python) python=${2:?--python needs a path}; shift 2 ;;
            --root) root=${2:?--root needs a directory}; shift 2 ;;
            --copies) copies=1; shift ;;
            --client) client=$(uname -m); shift ;;
            --client=*) client=${1#*=}; shift ;;
            *) break ;;
        esac
    done
    case $command in
        build) (($# == 0)) || die "build: unknown option $1"; build ;;
        demo) demo "$@" ;;
        test) run_tests "$@" ;;
        bench) bench "$@" ;;
        install) install_plugins "$@" ;;
        uninstall) uninstall_plugins "$@" ;;
        help | -h | --help) usage ;;
        *) usage >&2; exit 2 ;;
    esac
}

main "$@"
