/** sun_path of unix(7) has 108 bytes, the closing zero among them. */
export const maxSocketPathBytes = 107;
