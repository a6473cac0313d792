/** The names that a leaf certifies, each checked before. */
export interface LeafNames {
  commonName: string;
  organizationalUnits: string[];
  dnsNames: string[];
  ipAddresses: string[];
  uris: string[];
}
