/** sun_path of unix(7) has 108 bytes, the closing zero among them. */
export const maxSocketPathBytes = 107;

/** A served socket first listens at a name of ten bytes in its directory, the slash among them, such as "/.0a1b2c3d". */
export const maxSocketDirectoryBytes = maxSocketPathBytes - 10;
