#!/bin/busybox sh
# The first process of the virtual machine. It loads the policy, and starts the tests as a container
# runtime starts a privileged container. What it writes appears on the second serial port.
/bin/busybox mkdir -p /proc /sys /dev /container
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec >/dev/ttyS1 2>&1
mount -t selinuxfs selinuxfs /sys/fs/selinux
# The kernel accepts a policy in one write only.
dd if=/policy of=/sys/fs/selinux/load bs=64M 2>/dev/null

# A runtime mounts a container's root file system with a context, and it labels no file by itself.
mount -t tmpfs -o 'mode=755,context="system_u:object_r:container_file_t:s0"' root /container
cd /container || poweroff -f
cpio --extract --quiet </container.cpio
rm /container.cpio
busybox --install -s /container/bin
for tree in proc sys dev; do
  mkdir -p $tree
  mount --rbind /$tree $tree
done
ip link set lo up
export HOME=/tmp NO_COLOR=1 DENO_NO_UPDATE_CHECK=1 PATH=/bin:/usr/bin BUNDLE_FOLDER=/programs
chroot /container /bin/sh -c '
  printf %s system_u:system_r:spc_t:s0 >/proc/self/attr/exec
  exec /usr/bin/deno test --allow-all --no-check --no-config --no-lock --no-npm --cached-only /suite.js'
poweroff -f
