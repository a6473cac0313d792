// The library decorates its classes as it loads, which needs the metadata polyfill before it.
import "reflect-metadata";
export * from "@peculiar/x509";
