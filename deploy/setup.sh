#!/bin/sh
# Installs what building, running and testing Portcullis needs on Debian 12 (or a machine like it). Safe to run again:
# what is there is left alone, and then it takes less than a second and asks for nothing.
set -eu

usage() {
    cat <<'TEXT'
Usage: deploy/setup.sh [build|run|test|bench|programs|kafka|all]...
       deploy/setup.sh cargo

  build     compiler, protobuf                        (make build)
  run       build, and the peers of the demo          (make demo)
  test      run, and the peers and clients of tests   (make test; this is the default)
  bench     build, and the proxies to compare with    (make compare)
  programs  what rebuilds the eBPF object             (redirect-ebpf/build-programs.sh)
  kafka     a broker of Kafka; run and test have it
  all       everything
  cargo     installs nothing; prints how to call a cargo that is new enough

Packages come from Debian with apt-get, as root or through sudo. No service of theirs is started, none that runs is
stopped. The Python packages, the Go programs of tests, h2spec among them, the servers of Java and Kafka go below
${XDG_CACHE_HOME:-~/.cache}/portcullis; their versions are pinned in integration/clients and integration/servers.
TEXT
}

# The compiler that Cargo.toml asks for.
rust_minor=95
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/portcullis
policy=/usr/sbin/policy-rc.d
told=""
# Packages that bring a service which Debian starts at once and at every boot.
services="nginx haproxy postgresql unbound dnsdist uwsgi thin"

say() { echo "setup: $*" >&2; }
fail() { echo "setup: error: $*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this needs root: $*; run it as root, or install sudo"
    fi
}

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Tells whether `$1 --version` says 1.N with N new enough.
new_enough() {
    minor=$("$1" --version 2>/dev/null | sed -n 's/^[a-z]* 1\.\([0-9]*\)\..*/\1/p')
    [ "${minor:-0}" -ge "$rust_minor" ]
}

# Prints how a cargo that is new enough is called; fails where there is none.
find_cargo() {
    if command -v cargo >/dev/null && new_enough cargo && new_enough rustc; then
        echo cargo
    elif [ -x "${HOME:-}/.cargo/bin/cargo" ] && new_enough "$HOME/.cargo/bin/cargo"; then
        echo "env PATH=$HOME/.cargo/bin:$PATH cargo"
    elif [ -x /usr/bin/cargo ] && new_enough /usr/bin/cargo && new_enough /usr/bin/rustc; then
        # An older one of somebody's own stands before it in PATH.
        echo "env RUSTC=/usr/bin/rustc /usr/bin/cargo"
    else
        return 1
    fi
}

has_java() {
    for program in java javac; do
        command -v "$program" >/dev/null || return 1
        # An old one says "1.8.0", a new one "17.0.15", to standard error or output.
        major=$("$program" -version 2>&1 | sed -n 's/^[^0-9]*\([0-9][0-9]*\).*/\1/p' | head -n 1)
        [ "${major:-0}" -ge 17 ] || return 1
    done
}

# Keeps services from starting while packages are unpacked. Whatever policy the machine has comes back afterwards.
hold_services() {
    if [ -x "$policy" ]; then
        answer=0
        "$policy" nginx start >/dev/null 2>&1 || answer=$?
        [ "$answer" -ne 101 ] || return 0
        as_root mv "$policy" "$policy.portcullis"
    fi
    trap release_services EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\n# Written by deploy/setup.sh of Portcullis, for as long as it runs.\nexit 101\n' |
        as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}

# Also mends what a run left that was killed.
release_services() {
    if grep -qs 'deploy/setup.sh of Portcullis' "$policy"; then
        as_root rm -f "$policy"
    fi
    if [ -e "$policy.portcullis" ]; then
        as_root mv "$policy.portcullis" "$policy"
    fi
    trap - EXIT
}

is_service() {
    [ -e "/etc/init.d/$1" ] || [ -e "/lib/systemd/system/$1.service" ]
}

# Installs those of the named packages that are missing.
packages() {
    missing=""
    new_services=""
    for package in "$@"; do
        installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || fail "no apt-get here; install these by hand:$missing"
    for service in $services; do
        is_service "$service" || new_services="$new_services $service"
    done

    say "installing$missing"
    hold_services
    as_root apt-get -qq update || say "the package lists could not be refreshed; going on with those that are here"
    # shellcheck disable=SC2086 # words on purpose
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends --no-remove \
        -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 $missing </dev/null |
        sed -n 's/^Setting up /setup:   /p' >&2
    for package in $missing; do
        installed "$package" || fail "apt-get did not install $package; what it says: apt-get install $package"
    done
    # Ours to use from namespaces of the tests, not to run on the machine.
    for service in $new_services; do
        if [ -e "/etc/init.d/$service" ]; then
            as_root update-rc.d "$service" disable >/dev/null 2>&1
        elif is_service "$service" && command -v systemctl >/dev/null; then
            as_root systemctl --quiet disable "$service" 2>/dev/null || say "$service may start at the next boot"
        fi
    done
    release_services
}

build() {
    packages ca-certificates gcc git libc6-dev make protobuf-compiler libprotobuf-dev
    if ! cargo=$(find_cargo); then
        packages cargo-web rustc-web rustfmt-web
        cargo=$(find_cargo) || fail "Debian's cargo-web is older than 1.$rust_minor; install Rust 1.$rust_minor or newer"
    fi
    [ -n "$told" ] || say "$($cargo --version), called as: $cargo"
    told=yes
}

run() {
    build
    packages curl iproute2 nftables util-linux python3-httpbin gunicorn postgresql-15 postgresql-client-15 unbound
    packages kcat maven
    has_java || packages openjdk-17-jdk-headless
    # On its own, so that any failure ends it: the demo has other chapters.
    sh "$here/setup.sh" kafka || say "there is no Kafka; the demo leaves that chapter out and says so"
}

tests() {
    run
    kafka
    kafka_peers
    kroxylicious
    packages bind9-dnsutils busybox-static dnsdist dnsperf golang-go haproxy musl-tools nghttp2-client nghttp2-server nginx procps python3-venv python3-websockets shellcheck
    packages libhttp-daemon-perl thin uwsgi-core uwsgi-plugin-python3
    command -v node >/dev/null || packages nodejs
    python_environment
    conformance
    go_peers
    java_servers
}

bench() {
    build
    packages dnsdist dnsperf haproxy iproute2 maven nginx unbound util-linux wrk
    has_java || packages openjdk-17-jdk-headless
    kafka
    kroxylicious
}

programs() {
    build
    packages llvm-22-dev rust-web-src rustc-web
}

# The stock gRPC client by reflection: not in Debian as a package that is new enough.
python_environment() {
    wanted=$here/../integration/clients/requirements.txt
    if cmp -s "$wanted" "$cache/venv/requirements.txt" && [ -x "$cache/venv/bin/python3" ]; then
        return
    fi
    say "making the Python environment $cache/venv"
    rm -rf "$cache/venv"
    mkdir -p "$cache"
    /usr/bin/python3 -m venv "$cache/venv"
    "$cache/venv/bin/python3" -m pip install --quiet --disable-pip-version-check --requirement "$wanted"
    # Last: it says that all before it is done.
    cp "$wanted" "$cache/venv/requirements.txt"
}

# h2spec, which is not in Debian: its version, and those of what it is built from, stand in go.mod.
conformance() {
    module=$here/../integration/clients/h2spec
    if cmp -s "$module/go.sum" "$cache/h2spec/go.sum" && [ -x "$cache/h2spec/h2spec" ]; then
        return
    fi
    say "building $cache/h2spec/h2spec"
    mkdir -p "$cache/h2spec"
    (cd "$module" && go build -o "$cache/h2spec/h2spec" github.com/summerwind/h2spec/cmd/h2spec)
    # Last: it says that all before it is done.
    cp "$module/go.sum" "$cache/h2spec/go.sum"
}

# The gRPC and HTTP/2 peers in Go. The program is built again when its sources have changed.
go_peers() {
    sources=$here/../integration/clients/go-grpc
    wanted=$(cat "$sources/go.mod" "$sources/go.sum" "$sources"/*.go | cksum)
    if [ "$(cat "$cache/go-grpc/sources" 2>/dev/null)" = "$wanted" ] && [ -x "$cache/go-grpc/go-grpc" ]; then
        return
    fi
    say "building the Go program $cache/go-grpc/go-grpc"
    mkdir -p "$cache/go-grpc"
    # Debian's, whatever else is in PATH: go.mod asks for no newer one.
    (cd "$sources" && env GO111MODULE=on GOFLAGS=-mod=readonly CGO_ENABLED=0 \
        /usr/bin/go build -trimpath -o "$cache/go-grpc/go-grpc" .)
    # Last: it says that all before it is done.
    echo "$wanted" >"$cache/go-grpc/sources"
}

# The web servers of Java, from Maven Central: their versions stand in pom.xml.
java_servers() {
    sources=$here/../integration/servers/java
    wanted=$(cat "$sources/pom.xml" "$sources/Servers.java" | cksum)
    if [ "$(cat "$cache/java/sources" 2>/dev/null)" = "$wanted" ] && [ -e "$cache/java/Servers.class" ]; then
        return
    fi
    say "building the servers of Java below $cache/java"
    rm -rf "$cache/java"
    mkdir -p "$cache/java"
    mvn --quiet --batch-mode --file "$sources/pom.xml" dependency:copy-dependencies -DoutputDirectory="$cache/java/jars"
    javac -encoding UTF-8 -cp "$cache/java/jars/*" -d "$cache/java" "$sources/Servers.java"
    # Last: it says that all before it is done.
    echo "$wanted" >"$cache/java/sources"
}

# Kafka, its version stands in pom.xml: a broker and clients, with the schema of its messages and its own reader of them.
kafka() {
    kafka_jars kafka
}

# An older broker, and our client of Kafka.
kafka_peers() {
    kafka_jars kafka-3
    source=$here/../integration/clients/KafkaClient.java
    if cmp -s "$source" "$cache/kafka/client/KafkaClient.java"; then
        return
    fi
    say "building the client of Kafka below $cache/kafka/client"
    rm -rf "$cache/kafka/client"
    javac -encoding UTF-8 -cp "$cache/kafka/jars/*" -d "$cache/kafka/client" "$source"
    # Last: it says that all before it is done.
    cp "$source" "$cache/kafka/client/KafkaClient.java"
}

kafka_jars() {
    pom=$here/../integration/servers/$1/pom.xml
    if cmp -s "$pom" "$cache/$1/pom.xml" && [ -d "$cache/$1/common/message" ]; then
        return
    fi
    say "fetching Kafka into $cache/$1"
    rm -rf "${cache:?}/$1"
    mkdir -p "$cache/$1"
    mvn --quiet --batch-mode --file "$pom" dependency:copy-dependencies -DoutputDirectory="$cache/$1/jars"
    (cd "$cache/$1" && jar xf jars/kafka-clients-*.jar common/message)
    # Last: it says that all before it is done.
    cp "$pom" "$cache/$1/pom.xml"
}

# A proxy of Kafka from Maven Central, its version stands in pom.xml, with a filter of ours.
kroxylicious() {
    sources=$here/../benches/peers/kroxylicious
    wanted=$(cat "$sources/pom.xml" "$sources"/*.java | cksum)
    if [ "$(cat "$cache/kroxylicious/sources" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    say "building $cache/kroxylicious"
    rm -rf "$cache/kroxylicious"
    mkdir -p "$cache/kroxylicious/classes"
    mvn --quiet --batch-mode --file "$sources/pom.xml" dependency:copy-dependencies -DoutputDirectory="$cache/kroxylicious/jars"
    javac -encoding UTF-8 -cp "$cache/kroxylicious/jars/*" -d "$cache/kroxylicious/classes" "$sources"/*.java
    cp -r "$sources/META-INF" "$cache/kroxylicious/classes/"
    # Last: it says that all before it is done.
    echo "$wanted" >"$cache/kroxylicious/sources"
}

[ $# -gt 0 ] || set -- test
for what in "$@"; do
    case $what in
        build | run | bench | programs | kafka) "$what" ;;
        test) tests ;;
        all) tests; bench; programs ;;
        cargo) find_cargo || fail "no cargo 1.$rust_minor or newer; run deploy/setup.sh build" ;;
        -h | --help | help) usage ;;
        *) usage >&2; exit 2 ;;
    esac
    case $what in cargo | kafka) ;; *) say "$what: ready" ;; esac
done
