/** The names in a leaf certificate. Each has been validated. */
export interface CertificateNames {
  commonName: string;
  organizationalUnits: string[];
  dnsNames: string[];
  ipAddresses: string[];
  uris: string[];
}
