import { abbreviate } from "../text/printable_text.ts";

/** The fields of a pod that a template may name; KEY stands for a label's or annotation's key. */
export const templateFields: readonly string[] = [
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "metadata.labels.KEY",
  "metadata.annotations.KEY",
  "spec.serviceAccountName",
  "spec.nodeName",
  "spec.hostname",
  "spec.subdomain",
];

/** The fields of a pod that a template can contain. */
export interface PodFields {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly serviceAccountName: string;
  readonly nodeName?: string;
  readonly hostname?: string;
  readonly subdomain?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

const placeholder = /\{([^{}]*)\}/g;
const keyedField = /^metadata\.(labels|annotations)\.(.+)$/;

/** A Kubernetes qualified name: an optional DNS prefix, "/", and a name of at most 63 characters. */
const qualifiedName =
  /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

/** Whether a text has a brace, and so must be a template. */
export function isTemplate(text: string): boolean {
  return /[{}]/.test(text);
}

/** The problem of a template, which quotes at most 60 characters of it; undefined when there is none. */
export function checkTemplate(text: string): string | undefined {
  const rest = text.replace(placeholder, "");
  if (rest.includes("{")) return 'a "{" without its "}"';
  if (rest.includes("}")) return 'a "}" without its "{"';
  for (const [, field = ""] of text.matchAll(placeholder)) {
    if (!isField(field)) return `{${abbreviate(field)}} is not one of ${fieldList}`;
  }
  return undefined;
}

/**
 * Puts the pod's fields in place of the placeholders, once: braces in a value remain text. A field
 * that the pod lacks, or has empty, is `missing`.
 */
export function expandTemplate(
  text: string,
  pod: PodFields,
): { kind: "text"; text: string } | { kind: "missing"; field: string } {
  let missing: string | undefined;
  const expanded = text.replace(placeholder, (_whole, field: string) => {
    const value = fieldValue(field, pod);
    if (!value) missing ??= field;
    return value ?? "";
  });
  return missing === undefined
    ? { kind: "text", text: expanded }
    : { kind: "missing", field: missing };
}

const fieldList = templateFields.map((field) => `{${field}}`).join(", ");

function isField(field: string): boolean {
  const [, , key] = keyedField.exec(field) ?? [];
  if (key !== undefined) return qualifiedName.test(key);
  return templateFields.includes(field);
}

function fieldValue(field: string, pod: PodFields): string | undefined {
  const [, kind, key] = keyedField.exec(field) ?? [];
  if (key !== undefined) {
    const values = (kind === "labels" ? pod.labels : pod.annotations) ?? {};
    return Object.hasOwn(values, key) ? values[key] : undefined;
  }
  switch (field) {
    case "metadata.name":
      return pod.name;
    case "metadata.namespace":
      return pod.namespace;
    case "metadata.uid":
      return pod.uid;
    case "spec.serviceAccountName":
      return pod.serviceAccountName;
    case "spec.nodeName":
      return pod.nodeName;
    case "spec.hostname":
      return pod.hostname;
    case "spec.subdomain":
      return pod.subdomain;
    default:
      return undefined;
  }
}
