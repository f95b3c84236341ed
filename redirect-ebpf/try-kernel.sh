#!/bin/sh
# Runs a test binary as root on another kernel, in a virtual machine whose whole system is in memory: the least kernel
# that is supported, say, on a machine that has a newer one.
#
# usage: try-kernel.sh PACKAGE PROGRAM [ARGUMENT...]
#   PACKAGE is a .deb of a kernel: apt-get download linux-image-6.1.0-57-cloud-amd64
#   PROGRAM is a test binary: cargo test -p portcullis-redirect --test steering --no-run
# Environment: MEMORY (2G), CPUS (2), ACCELERATOR (tcg; kvm is ten times as fast where it works), MODULES (further ones to load).
# Needs qemu-system-x86, busybox, and what the tests need (iproute2, nftables, python3, util-linux).
# Ends with the status of the program.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
fail() { echo "try-kernel: $*" >&2; exit 2; }
[ $# -ge 2 ] || fail "usage: try-kernel.sh PACKAGE PROGRAM [ARGUMENT...]"
package=$1 program=$2
shift 2
for tool in qemu-system-x86_64 busybox dpkg-deb ldd; do
    command -v "$tool" >/dev/null || fail "$tool is missing"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

# A system of what is installed here: programs with their libraries, and Python with its modules.
copy() {
    for file in "$@"; do
        [ -e "$root$file" ] || { mkdir -p "$root$(dirname "$file")" && cp -L "$file" "$root$file"; }
    done
}
install_program() {
    copy "$1"
    ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do copy "$library"; done
}
mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64"
for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/tmp" "$root/etc" "$root/root" "$root/var/lib" "$root$here/tests"
for name in busybox sh bash ip tc nft setpriv unshare nsenter mount umount env cat sleep mkdir dirname timeout kill true python3 ss ping bpftool dig \
    conntrack; do
    path=$(PATH=/usr/sbin:/usr/bin:/sbin:/bin command -v "$name") || continue
    [ -x "$path" ] || continue
    install_program "$path"
done
python=$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
mkdir -p "$root$python"
tar -C "$python" -ch --exclude=test --exclude=__pycache__ --exclude='config-*' . | tar -C "$root$python" -x
for extension in "$python"/lib-dynload/*.so; do install_program "$extension"; done
copy /etc/passwd /etc/group /etc/hosts /etc/resolv.conf
cp -r "$here/tests/." "$root$here/tests/"
cp "$program" "$root/program" && ldd "$program" | grep -o '/[^ ]*' | while read -r library; do copy "$library"; done

dpkg-deb -x "$package" "$work/kernel"
cp -r "$work"/kernel/lib/modules "$root/lib/"
version=$(ls "$work/kernel/lib/modules")
busybox depmod -b "$root" "$version"
ln -s /bin/busybox "$root/sbin/modprobe"
for argument in "$@"; do printf "'%s' " "$argument"; done >"$root/arguments"
cat >"$root/init" <<END
#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin RUST_BACKTRACE=0 PORTCULLIS_REQUIRE_ALL=${PORTCULLIS_REQUIRE_ALL:-1} ${TRY_ENVIRONMENT:-}
busybox mount -t proc proc /proc; busybox mount -t sysfs sys /sys; busybox mount -t devtmpfs dev /dev
busybox mount -t cgroup2 none /sys/fs/cgroup; busybox mount -t bpf bpf /sys/fs/bpf; busybox mount -t tmpfs tmp /tmp
busybox mount -t tmpfs run /run; busybox mkdir -p /dev/shm /dev/pts
for module in veth dummy macvlan ipvlan cls_bpf sch_ingress nf_tables nft_nat nft_chain_nat nft_ct sctp udp_diag tcp_diag \
    inet_diag raw_diag tls 8021q ${MODULES:-}; do modprobe -q \$module; done
busybox ip link set lo up
echo ${PRINTK:-2} >/proc/sys/kernel/printk
echo "try-kernel: \$(busybox uname -r)"
cd $here
eval "/program \$(busybox cat /arguments)"
echo "try-kernel: status \$?"
busybox poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) >"$work/initramfs"

kernel=$(ls "$work"/kernel/boot/vmlinuz-*)
qemu-system-x86_64 -accel "${ACCELERATOR:-tcg}" -cpu max,-arch-capabilities -smp "${CPUS:-2}" -m "${MEMORY:-3G}" -display none -no-reboot -nodefaults \
    -serial stdio -monitor none -kernel "$kernel" -initrd "$work/initramfs" \
    -append "console=ttyS0 quiet panic=-1 rdinit=/init" </dev/null | sed -u 's/\r$//' | tee "$work/output"
status=$(sed -n 's/^try-kernel: status //p' "$work/output")
exit "${status:-3}"
