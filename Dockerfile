# syntax=docker/dockerfile:1
#
# The node as an image: one static binary on nothing.
#
#   docker build -t portcullis .
#   docker run --rm portcullis --version
#   docker run -d --name portcullis --network host --read-only \
#     --cap-drop ALL --cap-add NET_ADMIN --cap-add NET_RAW --cap-add BPF --cap-add PERFMON --cap-add SYS_ADMIN \
#     --security-opt no-new-privileges --security-opt systempaths=unconfined --security-opt apparmor=unconfined \
#     --ulimit nofile=1048576 \
#     -v /etc/portcullis:/etc/portcullis:ro -v /run/portcullis:/run/portcullis -v /var/lib/portcullis:/var/lib/portcullis \
#     -v /run/netns:/run/netns:ro,rslave -v /sys/fs/bpf:/sys/fs/bpf -v /sys/fs/cgroup:/sys/fs/cgroup:ro \
#     portcullis
#
# NET_RAW     answers over UDP from the address that was asked
# NET_ADMIN   rules, routes, transparent sockets, marks, attaching programs to namespaces and cgroups
# BPF         loading programs and maps
# PERFMON     programs that read the kernel's socket structures
# SYS_ADMIN   setns(2) into the endpoints' network namespaces; there is no smaller capability for it
# SYS_PTRACE  (not above) only for endpoints named by /proc/PID/ns/net, which need --pid host as well
#
# The user is 0: Linux gives added capabilities to no other one, and /sys/fs/bpf and /run/netns are root's. With all
# others dropped that root may not even read files of other users. `systempaths=unconfined` leaves /proc/sys/net
# writable, where sysctls of the endpoints' namespaces are set; they are given back by `portcullis release`.

ARG BASE=debian:bookworm-slim
FROM ${BASE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      ca-certificates cargo-web rustc-web gcc libc6-dev libprotobuf-dev protobuf-compiler \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The commit, for `portcullis --version`: the build context has no .git.
ARG PORTCULLIS_REVISION=
# Static, so that the image needs no library. The explicit target keeps the flag off build scripts and macros.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
 && RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --locked --release --package portcullis --target "$target" \
 && install -D -m 0755 "target/$target/release/portcullis" /out/usr/bin/portcullis \
 && strip /out/usr/bin/portcullis \
 && install -D -m 0644 deploy/portcullis.yaml /out/etc/portcullis/portcullis.yaml \
 && install -D -m 0644 LICENSE /out/usr/share/doc/portcullis/LICENSE \
 && mkdir -p /out/run/portcullis /out/var/lib/portcullis /out/tmp

FROM scratch
COPY --from=build /out/ /
ENTRYPOINT ["/usr/bin/portcullis"]
CMD ["run", "--log-format", "json"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/bin/portcullis", "status"]
STOPSIGNAL SIGTERM
