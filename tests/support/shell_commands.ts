/** The words of one simple command of a shell script, with quotes removed. */
export type ShellCommand = readonly string[];

/** A blank or a comment; what separates two commands; or a word. */
const tokens =
  /(?<blank>[ \t]+|\\\n|(?<=^|[\s;])#[^\n]*)|(?<separator>\|\||&&|[|;&\n()])|(?<word>(?:\\[^\n]|'[^']*'|"(?:\\.|[^"\\])*"|[^\s\\'"|;&()])+|.)/gm;

/**
 * The simple commands of a script, those in a pipe, a list, a substitution and a function's body too.
 * Enough for the documentation's scripts: here-documents are removed, and nothing is expanded.
 */
export function shellCommands(script: string): ShellCommand[] {
  const commands: string[][] = [[]];
  const text = script.replace(/<<'?(\w+)'?([^\n]*)\n.*?\n\1$/gms, "$2");
  for (const { groups } of text.matchAll(tokens)) {
    if (groups?.separator !== undefined) commands.push([]);
    if (groups?.word !== undefined) commands.at(-1)?.push(unquoted(groups.word));
  }
  return commands.map(withoutRedirections).filter((words) => words.length > 0);
}

function unquoted(word: string): string {
  return word.replace(
    /'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)/gs,
    (_, single, double, escaped) => single ?? double?.replace(/\\(.)/gs, "$1") ?? escaped,
  );
}

function withoutRedirections(words: readonly string[]): string[] {
  return words.filter((word, index) =>
    !/^\d*[<>]/.test(word) && !/^\d*[<>]+$/.test(words[index - 1] ?? "")
  );
}
