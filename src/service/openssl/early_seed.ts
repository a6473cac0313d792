/**
 * Begins on another thread what the first key of a process, or its first TLS handshake, waits for:
 * Deno's cryptography (AWS-LC) takes 30 ms to gather what its random numbers begin with. The service
 * makes keys before it is ready and imports this before all else, so that the time passes while the
 * other modules are evaluated.
 */
void crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
