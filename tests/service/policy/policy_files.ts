/** Policy files that are accepted, and that are refused with their first problem. */

export interface AcceptedFile {
  readonly text: string;
}

export interface RefusedFile {
  readonly text: string;
  /** Matches the first problem. */
  readonly problem: RegExp;
  /** Why the JSON Schema accepts the file all the same; absent: it refuses it. */
  readonly schemaAccepts?: string;
}

const everyKey = `
rules:
  # Comments are fine.
  - namespaces: [shop, "team-*"]
    dnsNames: ["*.shop.example.com", pay.example.com, "*.*.example.com", xn--bcher-kva.example.com]
    uris: ["https://shop.example.com/*", "spiffe://cluster.local/ns/shop/sa/*", "urn:a:b"]
    ipRanges: [10.0.0.0/8, "fd00::/8"]
    organizationalUnits: [Payments, "Front End"]
    maxValidity: 2160h
    minValidity: 30m
    keyAlgorithms: [ecdsa-p256, rsa-4096]
    bareNames: false
    shortNames: true
    annotations: true
    podCertificates: false
`;

const one = (keys: string) => `rules: [{namespaces: [shop], ${keys}}]`;
const named = (namespaces: string) => `rules: [{namespaces: ${namespaces}, bareNames: false}]`;

export const accepted: readonly AcceptedFile[] = [
  everyKey,
  "rules: []",
  "# yaml-language-server: $schema=policy.schema.json\nrules: []\n",
  'rules: [{namespaces: "*", organizationalUnits: "*", bareNames: false}]',
  'rules: [{namespaces: ["*"], organizationalUnits: [Payments, "*"]}]',
  named('[shop, "a*", "team-*", "0-9"]'),
  named(`[${"a".repeat(63)}, "${"a".repeat(62)}*"]`),
  // The second rule has fewer namespaces.
  'rules: [{namespaces: "*", bareNames: false}, {namespaces: [shop], bareNames: true}]',
  // The first rule states other keys, or more namespaces.
  "rules: [{namespaces: [a, b], bareNames: false}, {namespaces: [b], bareNames: true}]",
  'rules: [{namespaces: ["a-*"], bareNames: false}, {namespaces: ["a-b*"], bareNames: true}]',
  "rules: [{namespaces: [shop], dnsNames: [a.b.c]}, {namespaces: [shop], dnsNames: [a.b.d]}]",
  "rules: [{namespaces: [com, svc], shortNames: true}]",
  "rules: [{namespaces: [svc], shortNames: false}]",
  // Some of the names that it matches can be granted.
  one('dnsNames: ["*.svc.cluster.local"]'),
  one('dnsNames: ["*.default.svc"]'),
  one('uris: ["spiffe://cluster.local/*/*"]'),
  one("dnsNames: [single]"),
  one("minValidity: 720h"),
  one("minValidity: 800h, maxValidity: 800h"),
  "rules: [{namespaces: [shop], maxValidity: 900h}, {namespaces: [shop], minValidity: 800h}]",
  one("maxValidity: 1h30m"),
  one("maxValidity: 1.5h"),
  one("ipRanges: [0.0.0.0/0, ::/0, 10.1.2.3/32]"),
].map((text) => ({ text }));

const texts = (key: string, values: readonly string[], schemaAccepts?: string): RefusedFile[] =>
  values.map((value) => ({
    text: one(`${key}: [${JSON.stringify(value)}]`),
    problem: RegExp(`^line 1, rule 1: ${key} is "`),
    ...(schemaAccepts === undefined ? {} : { schemaAccepts }),
  }));

const wrongValues: readonly RefusedFile[] = [
  ...texts("dnsNames", [
    "*",
    "*.*",
    "*.com",
    "*.*.com",
    "a.*.com",
    "A.example.com",
    "a..b",
    "a.b.",
  ]),
  ...texts("dnsNames", ["b\u00fccher.example.com", "a b.example.com", "x*.example.com", "a.*", ""]),
  ...texts("dnsNames", [`${"a.".repeat(126)}aa`, `${"a".repeat(64)}.b`]),
  ...texts("dnsNames", ["1.2.3.4", "a.0x1f"]),
  ...texts("dnsNames", ["xn--a.example.com"], "what an A-label is"),
  ...texts("uris", ["*", "https://*/x", "https://*.example.com/", "https://a.example.com/x*"]),
  ...texts("uris", ["*://a.example.com/", "/x/*", "HTTPS://a.example.com/", "https://a/#b", ""]),
  ...texts("uris", ["spiffe://cluster.local", "https://u@a.example.com/"], "what a host is"),
  ...texts("ipRanges", [
    "10.0.0.0",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "a/8",
    "",
    "10.0.0.0/8 ",
    "::/129",
  ]),
  ...texts("ipRanges", ["10.0.0.1/8", "fd00::1/8", ":::/8"], "what an address is"),
  ...texts("organizationalUnits", ["", "A/B", "a".repeat(65), "caf\u00e9", "**"]),
  ...texts("keyAlgorithms", ["rsa", "ecdsa-p521", "*", "ECDSA-P256"]),
  {
    text: named("[Shop]"),
    problem: /^line 1, rule 1: namespaces is "Shop" \(is shop meant\?\); exp/,
  },
  ...["a.b", "-a", "a-", "*a", "a*b", "**", "", "a".repeat(64), `${"a".repeat(63)}*`].map((
    name,
  ) => ({
    text: named(JSON.stringify([name])),
    problem: /^line 1, rule 1: namespaces is "/,
  })),
  ...["5s", "87601h", "1y", "-1h", "h", ""].map((text) => ({
    text: one(`maxValidity: ${JSON.stringify(text)}`),
    problem: /^line 1, rule 1: maxValidity is ".*expected a Go-style duration from 10s to 87600h/,
    ...(["5s", "87601h"].includes(text) ? { schemaAccepts: "how long a duration is" } : {}),
  })),
  {
    text: one("minValidity: 90d"),
    problem: /minValidity is "90d" \(is 2160h meant\?\); expected a Go/,
  },
  {
    text: one("minValidity: 3600"),
    problem: /minValidity is "3600" \(is 3600s meant\?\); expected/,
  },
  {
    text: one('bareNames: "no"'),
    problem: /bareNames is "no" \(is false meant\?\); expected true or/,
  },
  {
    text: one('shortNames: "maybe"'),
    problem: /shortNames is "maybe"; expected true or false, with/,
  },
  { text: one("annotations: 1"), problem: /annotations is "1"; expected true or false/ },
  {
    text: one("podCertificates: [true]"),
    problem: /podCertificates is not a single value; expected/,
  },
  { text: one("annotations:"), problem: /annotations is "null"; expected true or false/ },
  {
    text: one("annotations"),
    problem: /^line 1, rule 1: annotations has no value; expected one, or/,
  },
  {
    text: one('dnsNames: "*"'),
    problem: /dnsNames is "\*"; expected a list with at/,
  },
  {
    text: one('organizationalUnits: "Pay"'),
    problem: /organizationalUnits is "Pay" \(is \[Pay\] meant.*item, or "\*"$/,
  },
  { text: one("dnsNames: [.example.com]"), problem: /is \*\.example\.com meant\?/ },
  { text: one("ipRanges: [10.0.0.1]"), problem: /"10\.0\.0\.1" \(is 10\.0\.0\.1\/32 meant\?\)/ },
  { text: one('ipRanges: ["fd00::1"]'), problem: /\(is fd00::1\/128 meant\?\)/ },
  {
    text: one("keyAlgorithms: [ecdsa-p265]"),
    problem: /\(is ecdsa-p256 meant\?\); expected one of/,
  },
  { text: one("keyAlgorithms: [RSA4096]"), problem: /\(is rsa-4096 meant\?\)/ },
  ...["namespaces", "dnsNames", "uris", "ipRanges", "organizationalUnits", "keyAlgorithms"].map(
    (key) => ({
      text: `rules: [{namespaces: [shop], annotations: true, ${key}: []}]`
        .replace(/namespaces: \[shop\], (?=.*namespaces)/, ""),
      problem: RegExp(
        `^line 1, rule 1: ${key} is an empty list; expected a list with at least one`,
      ),
    }),
  ),
];

const wrongKeys: readonly RefusedFile[] = [
  {
    text: one("colour: blue"),
    problem: /^line 1, rule 1: "colour" is unknown; expected one of nam/,
  },
  {
    text: one("dnsName: [a.b]"),
    problem: /"dnsName" is unknown \(is dnsNames meant\?\); expected/,
  },
  { text: one("dns_names: [a.b]"), problem: /"dns_names" is unknown \(is dnsNames meant\?\)/ },
  { text: one("max-validty: 1h"), problem: /"max-validty" is unknown \(is maxValidity meant\?\)/ },
  {
    text: "rule: []",
    problem: /^line 1: "rule" is unknown \(is rules meant\?\); expected one of rul/,
  },
  {
    text: "rules: [{dnsNames: [a.b]}]",
    problem: /^line 1, rule 1: has no "namespaces"; expected a/,
  },
  { text: "rules: [5]", problem: /^line 1, rule 1: the rule is not a mapping; expected a mapping/ },
  {
    text: one("uris: {a: b}"),
    problem: /^line 1, rule 1: uris is not a list; expected a list with/,
  },
  { text: "rules: 5", problem: /^line 1: rules is "5"; expected a list of rules$/ },
  { text: "rules:\n", problem: /^line [12]: rules is "null"; expected a list of rules$/ },
  { text: "hello", problem: /^line 1: the file is not a mapping; expected a mapping with rules/ },
  { text: "other: 1", problem: /^line 1: "other" is unknown; expected one of rules/ },
  { text: "{}", problem: /^line 1: has no "rules"; expected a list under "rules"/ },
];

const notInSchema = "what applies, and what no rule can grant";
const ineffective: readonly RefusedFile[] = [
  {
    text: "rules: [{namespaces: [shop]}]",
    problem: /^line 1, rule 1: states nothing but namespaces; expected what their pods may have/,
  },
  ...[
    [
      "dnsNames: [cert-service.csi-cert-driver.internal]",
      "belongs to the certificate service itsel",
    ],
    [
      'dnsNames: ["*.csi-cert-driver.internal"]',
      "belongs to the certificate service itself, and no",
    ],
    ['dnsNames: ["*.a.localhost"]', "is the name of every machine, and no rule can grant it"],
    ["dnsNames: [cluster.local]", "is the cluster's own domain or contains it"],
    ["dnsNames: [kubernetes.default.svc]", "is, or covers, a name of the Kubernetes API server"],
    ['uris: ["spiffe://a.example/csi-cert-node/*"]', "names a node, and no rule can grant it"],
    [
      "uris: [spiffe://a/csi-cert-service]",
      "names the certificate service, and no rule can grant it",
    ],
  ].map(([keys = "", reason = ""]) => ({
    text: one(keys),
    problem: RegExp(`^line 1, rule 1: (dnsNames|uris) is "[^"]+", which ${reason}`),
    schemaAccepts: notInSchema,
  })),
  ...[
    [
      "minValidity: 2h, maxValidity: 1h",
      `minValidity is "2h", which is over the rule's maxValidity, "1h"`,
    ],
    [
      "minValidity: 721h",
      'minValidity is "721h", which is over the longest validity that a pod can',
    ],
  ].map(([keys = "", problem = ""]) => ({
    text: one(keys),
    problem: RegExp(`^line 1, rule 1: ${problem}`),
    schemaAccepts: "how long a duration is",
  })),
  {
    text: "rules: [{namespaces: [svc, pod, cluster], shortNames: true}]",
    problem:
      /^line 1, rule 1: shortNames is "true" for svc, pod, cluster only, and a namespace that/,
    schemaAccepts: notInSchema,
  },
  ...[
    ['{namespaces: [shop], bareNames: true}, {namespaces: "*", bareNames: false}', "bareNames"],
    ['{namespaces: [a-b], maxValidity: 1h}, {namespaces: ["a-*"], maxValidity: 2h}', "maxValidity"],
    [
      '{namespaces: ["a-*"], annotations: true}, {namespaces: ["a*"], annotations: false}',
      "annotatio",
    ],
    [
      "{namespaces: [a], dnsNames: [b.c], minValidity: 2h}, {namespaces: [a], minValidity: 1h}",
      "minVal",
    ],
  ].map(([rules = "", key = ""]) => ({
    text: `rules: [${rules}]`,
    problem: RegExp(
      `^line 1, rule 1: ${key}[a-zA-Z]* never applies: rule 2 further down also states`,
    ),
    schemaAccepts: notInSchema,
  })),
  {
    text: "rules: [{namespaces: [a, b], bareNames: true}, {namespaces: [b], bareNames: false}, " +
      "{namespaces: [a], bareNames: false}]",
    problem:
      /^line 1, rule 1: bareNames never applies: rule 3 and rule 2 further down also states it/,
    schemaAccepts: notInSchema,
  },
];

/** Of these no schema says anything: a program that applies one has parsed the YAML before. */
export const notYaml: readonly RefusedFile[] = [
  { text: "", problem: /^line 1: empty; expected a mapping with "rules"/ },
  { text: "rules: [\n", problem: /^line [12]: the YAML cannot be read: [a-z]/ },
  {
    text: "rules: []\nrules: []\n",
    problem: /^line 2: the YAML cannot be read: map keys must be unique/,
  },
  { text: "rules: []\n---\nrules: []\n", problem: /document/ },
  { text: "rules: !!js/function 'x'\n", problem: /^line 1: / },
  {
    text: "rules:\n  - &a {namespaces: [b], bareNames: true}\n  - *a\n",
    problem: /^line 3, rule 2: the rule is not a mapping/,
  },
  { text: `#${" ".repeat(2_000_000)}`, problem: /^line 1: the file has over 1048576 characters/ },
];

export const refused: readonly RefusedFile[] = [...wrongValues, ...wrongKeys, ...ineffective];
