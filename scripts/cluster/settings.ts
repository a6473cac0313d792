import { formatAddress } from "../../src/shared/text/network_address.ts";

/** The folder and the names of one cluster. */
export interface Place {
  /** Contains certificates, settings and logs. */
  readonly folder: string;
  /** Contains the images that pods can use, as archives. */
  readonly images: string;
  readonly nodeName: string;
  /** In each cgroup hierarchy, below its root. */
  readonly cgroup: string;
  readonly family: AddressFamily;
}

/** A cluster has addresses of one family, and its node none of the other. */
export type AddressFamily = keyof typeof addresses;

export const addresses = {
  ipv4: {
    /** The option of `ip` for the family. */
    option: "-4",
    loopback: "127.0.0.1",
    node: "10.88.0.1",
    /** What follows the node's address on the pods' network. */
    prefix: "24",
    podSubnet: "10.88.0.0/24",
    serviceSubnet: "10.96.0.0/24",
    apiService: "10.96.0.1",
    /** The fixed address of cert-service's Service, whose connections are passed on to its endpoints. */
    certService: "10.96.0.50",
    all: "0.0.0.0/0",
  },
  ipv6: {
    option: "-6",
    loopback: "::1",
    node: "fd00:88::1",
    // Usable at once: the kernel does not look for another machine with the same address first.
    prefix: "64 nodad",
    podSubnet: "fd00:88::/64",
    serviceSubnet: "fd00:96::/112",
    apiService: "fd00:96::1",
    certService: "fd00:96::50",
    all: "::/0",
  },
};

/** The kubelet's configuration; unusual values let it run where root lacks capabilities, or on cgroup v1. */
export function kubeletSettings({ folder, cgroup, family }: Place): unknown {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${folder}/pki/ca.crt` },
    },
    authorization: { mode: "Webhook" },
    tlsCertFile: `${folder}/pki/kubelet.crt`,
    tlsPrivateKeyFile: `${folder}/pki/kubelet.key`,
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${cgroup}`,
    failCgroupV1: false,
    failSwapOn: false,
    // What a container's root may not do (devices, sysctls) is a warning then.
    featureGates: { KubeletInUserNamespace: true },
    oomScoreAdj: 0,
    healthzBindAddress: addresses[family].loopback,
    localStorageCapacityIsolation: false,
    clusterDNS: [addresses[family].node],
    clusterDomain: "cluster.local",
    resolvConf: "",
    evictionHard: { "memory.available": "50Mi", "nodefs.available": "1%" },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    nodeStatusUpdateFrequency: "2s",
    maxPods: 110,
  };
}

export const containerdSocket = "/run/containerd/containerd.sock";

/** containerd's, in its format 2 (containerd 1.x; 2.x reads it too). */
export function containerdSettings({ folder, family }: Place): string {
  return `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "${containerdSocket}"
[plugins."io.containerd.grpc.v1.cri"]
  stream_server_address = "${addresses[family].loopback}"
  sandbox_image = "docker.io/library/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`;
}

/** Pods on one bridge, with addresses of their own. */
export function cniSettings({ family }: Place): unknown {
  const { podSubnet, node, all } = addresses[family];
  return {
    cniVersion: "0.4.0",
    name: "e2e",
    plugins: [{
      type: "bridge",
      bridge: "cni0",
      isGateway: true,
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: podSubnet, gateway: node }]],
        routes: [{ dst: all }],
      },
    }],
  };
}

/** etcd's command line. */
export function etcdCommandLine({ family }: Place): string[] {
  const url = (port: number) =>
    `http://${formatAddress({ hostname: addresses[family].loopback, port })}`;
  return ["--data-dir=/run/etcd", `--initial-cluster=default=${url(2380)}`]
    .concat(["listen-client", "advertise-client"].map((flag) => `--${flag}-urls=${url(2379)}`))
    .concat(["listen-peer", "initial-advertise-peer"].map((flag) => `--${flag}-urls=${url(2380)}`));
}

/** The command lines of the programs other than containerd and etcd, by the programs' names. */
export function commandLines(place: Place): Readonly<Record<string, readonly string[]>> {
  const { folder, nodeName, family } = place;
  const { loopback, node, serviceSubnet } = addresses[family];
  const pki = `${folder}/pki`;
  const as = (name: string) =>
    ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"]
      .map((flag) => `--${flag}=${pki}/${name}.kubeconfig`)
      .concat(`--bind-address=${loopback}`, "--leader-elect=false");
  return {
    "kube-apiserver": [
      `--etcd-servers=http://${formatAddress({ hostname: loopback, port: 2379 })}`,
      "--secure-port=443",
      `--bind-address=${family === "ipv6" ? "::" : "0.0.0.0"}`,
      `--advertise-address=${node}`,
      "--endpoint-reconciler-type=none",
      `--service-cluster-ip-range=${serviceSubnet}`,
      `--tls-cert-file=${pki}/apiserver.crt`,
      `--tls-private-key-file=${pki}/apiserver.key`,
      `--client-ca-file=${pki}/ca.crt`,
      "--authorization-mode=Node,RBAC",
      "--enable-admission-plugins=NodeRestriction",
      "--allow-privileged=true",
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-key-file=${pki}/service-account.pub`,
      `--service-account-signing-key-file=${pki}/service-account.key`,
      `--kubelet-client-certificate=${pki}/apiserver-client.crt`,
      `--kubelet-client-key=${pki}/apiserver-client.key`,
      `--kubelet-certificate-authority=${pki}/ca.crt`,
      "--kubelet-preferred-address-types=InternalIP",
      `--audit-policy-file=${folder}/audit-policy.json`,
      `--audit-log-path=${folder}/logs/audit.jsonl`,
    ],
    "kube-controller-manager": [
      ...as("controller-manager"),
      "--use-service-account-credentials=true",
      `--service-account-private-key-file=${pki}/service-account.key`,
      `--root-ca-file=${pki}/ca.crt`,
    ],
    "kube-scheduler": as("scheduler"),
    kubelet: [
      `--config=${folder}/kubelet.json`,
      `--kubeconfig=${pki}/kubelet.kubeconfig`,
      "--root-dir=/var/lib/kubelet",
      `--hostname-override=${nodeName}`,
      `--node-ip=${node}`,
    ],
  };
}

/** The audit policy: it records the requests of the product's two accounts and nothing else. */
export const auditPolicy = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [
    {
      level: "Metadata",
      users: ["cert-service", "csi-cert-driver"].map((name) =>
        `system:serviceaccount:csi-cert-system:${name}`
      ),
    },
    { level: "None" },
  ],
};
