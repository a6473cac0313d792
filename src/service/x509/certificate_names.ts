/** The names that a leaf certifies, each checked before. */
export interface CertificateNames {
  commonName: string;
  organizationalUnits: string[];
  dnsNames: string[];
  ipAddresses: string[];
  uris: string[];
}
