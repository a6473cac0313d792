/** The form of the data that describes the structure of src. */
export interface Structure {
  /** Folders of src by name, as "shared/text". A folder imports only folders that stand before it. */
  readonly folders: Readonly<Record<string, Folder>>;
  /** The entry files by path. */
  readonly entries: Readonly<Record<string, Entry>>;
  /** What every entry may import, in addition to its program folder and deno.json. */
  readonly entryImports: readonly string[];
  /** Which folders import a package of deno.json; none for a package of scripts and tests. */
  readonly packages: Readonly<Record<string, readonly string[]>>;
  /** Folders that only compute: no Deno, network, clock, timer or log. */
  readonly pure: readonly string[];
  /** Folders that receive their time from a Clock. */
  readonly takesClock: readonly string[];
  /** Files of these folders that read the system's clock, each with the reason. */
  readonly clockExceptions: Readonly<Record<string, string>>;
  /** Folders that name Deno. */
  readonly usesDeno: readonly string[];
  /** The folder that is loaded with import() when it is needed. */
  readonly loadedOnDemand: string;
  /** The folder whose files are generated, and follow no rule of form. */
  readonly generated: string;
  /** Files of shared that only one entry reaches, by the entry: general mechanism with one user. */
  readonly usedByOneProgram: Readonly<Record<string, readonly string[]>>;
}

export interface Folder {
  /** What the folder is for, as in docs/explanation/architecture.md. */
  readonly purpose: string;
  /** The file that opens with the comment about the folder. */
  readonly mainFile?: string;
  /** Names of folders by wing: `shared`, and for a program's folder its own wing. */
  readonly mayImport: Readonly<Record<string, readonly string[]>>;
}

export interface Entry {
  /** The folder that composes the program. */
  readonly program: string;
  /** Beginnings of paths and packages that the entry must not reach. */
  readonly mustNotReach: readonly string[];
  /** A file outside the entry's usual imports, which it imports first, and the reason. */
  readonly firstImport?: { readonly path: string; readonly reason: string };
}

/** The folders that a folder may import, as "shared/text". */
export function importsOf({ mayImport }: Folder): string[] {
  return Object.entries(mayImport).flatMap(([wing, names]) =>
    names.map((name) => `${wing}/${name}`)
  );
}
