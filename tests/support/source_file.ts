/** What the rules of structure want to know of one source file; read from its syntax tree. */
export interface SourceFile {
  /** From the repository's root, with "/". */
  readonly path: string;
  readonly lines: number;
  /** Specifiers of every import, re-export, dynamic import and import type, as written. */
  readonly imports: readonly string[];
  /** Dynamic imports whose specifier is not a plain string: nothing can be said of them. */
  readonly opaqueImports: number;
  /** Names of our own are passed on unnamed: `export * from`. */
  readonly exportsAll: boolean;
  /** All it does is to import and to pass on names, of our own among them. */
  readonly onlyReexports: boolean;
  /** Global names that it uses; `Temporal.Now`, `Date.now` and `new Date()` under these names. */
  readonly globals: ReadonlySet<string>;
}

const watchedGlobals = new Set(
  ["Deno", "fetch", "console", "setTimeout", "setInterval", "performance", "process", "Worker"],
);

/** Reads a file with Deno's own parser, so that no comment or string is taken for code. */
export function readSource(path: string, text: string): SourceFile {
  const imports: string[] = [];
  const globals = new Set<string>();
  let opaqueImports = 0;
  let exportsAll = false;
  let onlyReexports = false;

  const visitor: Deno.lint.LintVisitor = {
    Program({ body }) {
      onlyReexports = body.every((node) => "source" in node && node.source) &&
        body.some((node) => node.type.startsWith("Export") && isOurs(sourceOf(node)));
    },
    ImportDeclaration: ({ source }) => void imports.push(source.value),
    ExportAllDeclaration({ source }) {
      imports.push(source.value);
      exportsAll ||= isOurs(source.value);
    },
    ExportNamedDeclaration({ source }) {
      if (source) imports.push(String(source.value));
    },
    ImportExpression({ source }) {
      if (source.type === "Literal" && typeof source.value === "string") imports.push(source.value);
      else opaqueImports++;
    },
    TSImportType({ argument }) {
      if (argument.type === "TSLiteralType" && argument.literal.type === "Literal") {
        imports.push(String(argument.literal.value));
      } else opaqueImports++;
    },
    TSExternalModuleReference({ expression }) {
      imports.push(String(expression.value));
    },
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
      if (name === "Temporal.Now" || name === "Date.now") globals.add(name);
    },
    NewExpression({ callee, arguments: given }) {
      if (callee.type === "Identifier" && callee.name === "Date" && given.length === 0) {
        globals.add("new Date()");
      }
    },
  };
  // The visitor gathers and reports nothing; a text that is no TypeScript throws.
  Deno.lint.runPlugin(
    { name: "structure", rules: { read: { create: () => visitor } } },
    path,
    text,
  );
  const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
  return { path, lines, imports, opaqueImports, exportsAll, onlyReexports, globals };
}

function sourceOf(node: Deno.lint.Statement): string {
  return "source" in node && node.source ? String(node.source.value) : "";
}

function isOurs(specifier: string): boolean {
  return specifier.startsWith(".");
}
