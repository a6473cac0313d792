/** What the structure rules know about one source file; read from its syntax tree. */
export interface SourceFile {
  /** From the repository's root, with "/". */
  readonly path: string;
  readonly lines: number;
  /** Every import, re-export, dynamic import and import type, in the file's order. */
  readonly imports: readonly SourceImport[];
  /** Number of dynamic imports whose specifier is not a plain string, so that no rule can check it. */
  readonly computedImports: number;
  /** `export * from` a file of this repository. */
  readonly exportsAll: boolean;
  /** The file only imports and re-exports, and re-exports names of this repository. */
  readonly onlyReexports: boolean;
  /** Global names that the file uses; `Temporal.Now`, `Date.now` and `new Date()` under these names. */
  readonly globals: ReadonlySet<string>;
  readonly functions: readonly SourceFunction[];
  /** The comment before everything else, if a blank line follows it; without its marks, in one line. */
  readonly openingComment: string;
}

export interface SourceImport {
  /** As written. */
  readonly specifier: string;
  /** `type` is erased when the program is built; `dynamic` is loaded when the call runs. */
  readonly kind: "static" | "type" | "dynamic";
}

export interface SourceFunction {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
}

type FunctionNode =
  | Deno.lint.FunctionDeclaration
  | Deno.lint.FunctionExpression
  | Deno.lint.ArrowFunctionExpression;

const watchedGlobals = new Set([
  "Deno",
  "fetch",
  "console",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "performance",
  "process",
  "Worker",
]);

const watchedMembers = new Set(["Temporal.Now", "Date.now", "AbortSignal.timeout"]);

/** Reads a file with Deno's own parser, so that no comment or string is mistaken for code. */
export function readSource(path: string, text: string): SourceFile {
  const imports: SourceImport[] = [];
  const globals = new Set<string>();
  const functions: SourceFunction[] = [];
  let computedImports = 0;
  let exportsAll = false;
  let onlyReexports = false;

  const addFunction = (node: FunctionNode) => {
    const [start, end] = node.range;
    const lines = lineBreaks(text.slice(start, end)) + 1;
    functions.push({ name: functionName(node), line: lineBreaks(text.slice(0, start)) + 1, lines });
  };
  const visitor: Deno.lint.LintVisitor = {
    Program({ body }) {
      onlyReexports = body.every((node) => "source" in node && node.source) &&
        body.some((node) => node.type.startsWith("Export") && isOwn(sourceOf(node)));
    },
    ImportDeclaration({ source, importKind, specifiers }) {
      const isType = importKind === "type" || specifiers.length > 0 && specifiers.every(
            (each) => each.type === "ImportSpecifier" && each.importKind === "type",
          );
      imports.push({ specifier: source.value, kind: isType ? "type" : "static" });
    },
    ExportAllDeclaration({ source, exportKind }) {
      imports.push({ specifier: source.value, kind: exportKind === "type" ? "type" : "static" });
      exportsAll ||= isOwn(source.value);
    },
    ExportNamedDeclaration({ source, exportKind }) {
      if (!source) return;
      const kind = exportKind === "type" ? "type" : "static";
      imports.push({ specifier: String(source.value), kind });
    },
    ImportExpression({ source }) {
      if (source.type === "Literal" && typeof source.value === "string") {
        imports.push({ specifier: source.value, kind: "dynamic" });
      } else computedImports++;
    },
    TSImportType({ argument }) {
      if (argument.type === "TSLiteralType" && argument.literal.type === "Literal") {
        imports.push({ specifier: String(argument.literal.value), kind: "type" });
      } else computedImports++;
    },
    TSExternalModuleReference({ expression }) {
      imports.push({ specifier: String(expression.value), kind: "static" });
    },
    FunctionDeclaration: addFunction,
    FunctionExpression: addFunction,
    ArrowFunctionExpression: addFunction,
    Identifier(node) {
      const { parent } = node;
      const isProperty = parent?.type === "MemberExpression" && !parent.computed &&
        parent.property === node;
      if (node.name === "Deno" || (watchedGlobals.has(node.name) && !isProperty)) {
        globals.add(node.name);
      }
    },
    Literal({ value }) {
      if (value === "Deno") globals.add("Deno");
    },
    MemberExpression({ object, property }) {
      if (object.type !== "Identifier" || property.type !== "Identifier") return;
      const name = `${object.name}.${property.name}`;
      if (watchedMembers.has(name)) globals.add(name);
    },
    NewExpression({ callee, arguments: given }) {
      if (callee.type === "Identifier" && callee.name === "Date" && given.length === 0) {
        globals.add("new Date()");
      }
    },
  };
  // The visitor collects and reports nothing; a text that is not TypeScript throws.
  Deno.lint.runPlugin(
    { name: "structure", rules: { read: { create: () => visitor } } },
    path,
    text,
  );
  return {
    path,
    lines: lineBreaks(text.replace(/\n$/, "")) + 1,
    imports,
    computedImports,
    exportsAll,
    onlyReexports,
    globals,
    functions,
    openingComment: openingComment(text),
  };
}

function sourceOf(node: Deno.lint.Statement): string {
  return "source" in node && node.source ? String(node.source.value) : "";
}

function isOwn(specifier: string): boolean {
  return specifier.startsWith(".");
}

function lineBreaks(text: string): number {
  return text.split("\n").length - 1;
}

/** The function's own name, or the name of the variable, property or method that holds it. */
function functionName(node: FunctionNode): string {
  if (node.type !== "ArrowFunctionExpression" && node.id) return node.id.name;
  const { parent } = node;
  const holder = parent?.type === "VariableDeclarator"
    ? parent.id
    : parent?.type === "PropertyDefinition" || parent?.type === "MethodDefinition" ||
        parent?.type === "Property"
    ? parent.key
    : undefined;
  const isNamed = holder?.type === "Identifier" || holder?.type === "PrivateIdentifier";
  return isNamed ? holder.name : "without a name";
}

function openingComment(text: string): string {
  const pattern = /^(?:\/\*((?:(?!\*\/)[^])*)\*\/|(\/\/.*(?:\n\/\/.*)*)) *\n *\n/;
  const [, block, lines] = pattern.exec(text) ?? [];
  const unmarked = (block ?? lines ?? "").replaceAll(/^\s*(?:\*+|\/\/)/gm, "");
  return unmarked.replaceAll(/\s+/g, " ").trim();
}
