#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# The first process of the virtual machine: the machine's own root, read-only, below an
# overlay in memory, with the modules of the kernel that runs.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for module in $($b cat /order); do $b insmod "/modules/$module"; done
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=524288 root /lower ||
    exec $b poweroff -f
$b mount -t tmpfs -o size=75% tmpfs /upper
$b mkdir /upper/upper /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/upper,workdir=/upper/work \
    overlay /root
$b mkdir -p /root/usr/lib/modules
$b mount --bind "/lower$($b cat /directory)" /root/usr/lib/modules
for directory in proc sys dev; do $b mount --move /$directory /root/$directory; done
$b mount -t tmpfs tmpfs /root/run
$b mkdir -p /root/mnt /root/dev/pts /root/dev/shm /root/run/lock /root/run/netns
$b mkdir -p /root/dev/net
$b mknod -m 666 /root/dev/net/tun c 10 200 # who opens it has the module loaded
$b mount -t devpts devpts /root/dev/pts
$b mount -t tmpfs -o mode=1777 tmpfs /root/dev/shm
$b mount -t cgroup2 cgroup /root/sys/fs/cgroup
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 call /root/mnt
exec $b switch_root /root /bin/bash /mnt/guest.sh
