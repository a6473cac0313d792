/** CA keys in PKCS #8, base64, and the node CA's private number that an independent program derived of each. */
export const knownAnswers = {
  // Computed with Python's hmac and hashlib, and the first one with `openssl kdf` too.
  "ecdsa-p256": {
    pkcs8:
      `MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg5S7WQwabx6Z7vyYayW0KYF0TlRMw0zHaIgzj5O1YN+
WhRANCAAQzwplx5bMyU+6NtoC8yvJz5Yg6UHpytaDw95oUfXTxyefQCqiV9IsWT3QPlcMBuIbI4cbCM68NXB84gqzS
+Cz/`,
    scalar: "834cc3602aed74b587b8699f78af705fe3e0ae0340c6e3443647cf2eb5d9072d",
  },
  "ecdsa-p384": {
    pkcs8:
      `MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDDOHULf2ch6zPLc99c1sUEXRk+sQXVQOtq8deTHSJOGeU
6cIzYzmjnI8diLsQF0txWhZANiAATzTFBMgKdiaOWn/Z26E5t7yBmZN8QfuXdyjDM7grB3zY0Vw//iGhWZd2ZUbxPc
RhD20nW7Prac7P76J7fgJXzTnlQlUmg+7AhDJeh00DPg2qw2AdAQ7lVqR27YG11E0cU=`,
    scalar: "c0f4f267d66992bc712524aa497a3906ebbc1cd78ceadacf91e67f616bf4bb85",
  },
  ed25519: {
    pkcs8: `MC4CAQAwBQYDK2VwBCIEIF6E2wrObcvscl3nWZwy3fu7KrxrF1WkGlncSug/zdJv`,
    scalar: "4f0f68b82e66ad9f7cb8887abf28a24882bbbbd938db6bd6eb42db45f9884d5a",
  },
  "rsa-2048": {
    pkcs8:
      `MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQC5HNNCEl6GJVeooqFKsj9AuwbXurJkr7Jjweu4qE
tGwzkC7QvaQ1cmzls5CUA2QlcH7HXtyRuAP3sUv/mkEMDlmVTDiKwUQTKetzpZp9TDmP9dWa2ZkIEuTDN2IGtYGCRa
CrdecHTU9xWi6DMskT/EqW5dOifwduCrUbSKRiLV32jHd9dqgJIZjjEc/Howxi+vOAZMWpAv7bqAlcM/3QJYwcvUyX
QBCHpDZbDHnbttz0L7/ge/06/Wn+wxDi6IpQZHsLbBQrsJtQowueZdUrx5GZ3sfonQ++R2K6Ep0ndhAMmMKwt3Py0f
YHsjFID627jDDs7UcB9TWk0yAqMX2JkLAgMBAAECggEAT5pYNJz+nfQ3/nI1JxCAx97FggasiUTO0zxEmEty15LDFQ
GH68uykiMCMoRKYyrjDyq9ycwGMf/ad2FYwpdbxEBMJavDyBADayJDCuPzyEsmYWfbkeKE0rp9FMq7Lo5vL3NVSFzW
uPAqEzyEKSGrCPCNX7TPEQal9bY0i5O+jjaAUXQAXfxcWNYCIIB9E9k5l6ZMl6X1BFL+iu3UyJcf8XiSmeD7Wl+PSK
15m4l+zkX83yfjEZgtNKd1FPuoYICclq0HvJ9EBmyC+VUM5OIjxmwpMduWZvEPC2U0VPi8SZWS/cbkZa+FZq4YQfcV
rViSI9SGCPS3shA8w2XMR34lUQKBgQD1/bXsUvqOVOSCqG2p0akH8v4ZMzpcHbYKXCdnyhKfuebuag75OTTDpVdCJ0
k6HiCDPwoV06eR4BSI5iYthdrTTIZTk9UdlcMgZimWljdXGRU1Itot2kK+osWZea8iv7+muAMMx3NDzFYuQu6YxvkH
Zo9DaDPukGzF5XdyU9XS0QKBgQDApP44xn/yx64OOotIw2BhGqytf9tdsca764JwdStOt6YMIB+n34XCtKGl9ZDLdE
FZRMdFAsiqn/whynq7wp5VV4pqgIVXGAEklixs/ct6Ag1OQjmVRbJk6YKsWtixQe1kp57B6pdZHEnfb2mNPC5h6X0W
tjEhN31n8g+XmVrNGwKBgQCUdQnWFj4gqBtAv2Vvl5jrszqm+sO91DCJEBS4DrwuqYM1X8ypnFy7to1y30LSUFxO2T
y873+yCgpalIt17dKiswxeZFm6AShB5WYz+3RqnDiwWNhT0+V0J8gZV9baod6IP4WXsMdfo3JfeQWGLo8caEkN5VVy
JLeAt3vfA7mIAQKBgQCVHGCmQ4bvvX1NCCWdWZT1NHdqB+gc+qjP9ffN4fN2h5HgGtFF2C6pybTBR3Ue9cpLNYBkO0
ZlQ1YeNaKQSJDTj+HUk8wh4LOpxQ94AW4I7yOrank1wG/XyiLaE6tccKI2YcPxZwpk8A+CAbOanXVtVhP7i2Q1yMSp
u2Q0PIBa9wKBgQDXp1PG+7u/YO2nVF1b7VLNoeqYdbzb1vMt32UIYwpNb/AjZ2tRdXKMPk7mla0LjCKLMTdnTAm4AI
A3Lip4jYyMi7VjMG186X71EYs97kGc9rCx7etsCmYSKGtF05oQmmz2gjhxOL+Op6YhMInvcH0SChDNe4XtuivncVYi
gRKhlQ==`,
    scalar: "19cd9a91fd0f174f090b504fabd61a312099059e990b48fb8c082b26182dd09b",
  },
} as const;

/** What they were derived for. */
export const knownScope = {
  trustDomain: "cluster.local",
  clusterId: "0f8fad5b-d9cb-469f-a165-70867728950e",
};
