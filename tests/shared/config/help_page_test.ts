import assert from "node:assert/strict";
import { driverVariables } from "../../../src/driver/program/config.ts";
import type { VariableTable } from "../../../src/shared/config/environment.ts";
import { driverHelp } from "../../../src/driver/program/help.ts";
import { serviceHelp } from "../../../src/service/program/help.ts";
import { serviceVariables } from "../../../src/service/program/variables.ts";

const pages: [string, string, VariableTable][] = [
  ["csi-driver", driverHelp("1.2.3"), driverVariables],
  ["cert-service", serviceHelp("1.2.3"), serviceVariables],
];

for (const [program, text, table] of pages) {
  const lines = text.split("\n");

  Deno.test(`${program} --help names each variable and its default in two lines at most`, () => {
    for (const variable of Object.values(table)) {
      const first = lines.findIndex((line) => line.startsWith(`  ${variable.name} `));
      const rest = lines.slice(first + 1);
      const own = [
        lines[first] ?? "",
        ...rest.slice(0, rest.findIndex((line) => /^ {0,2}\S|^$/.test(line))),
      ];
      assert.ok(first > 0 && own.length <= 2, variable.name);
      const flat = own.join(" ").replace(/\s+/g, " ");
      const fallback = variable.defaultText ?? variable.default;
      assert.ok(flat.includes(variable.description), variable.name);
      if (fallback !== undefined) assert.ok(flat.endsWith(`[${fallback}]`), flat);
    }
  });

  Deno.test(`${program} --help fits 100 columns and has no blanks at line ends`, () => {
    for (const line of lines) assert.match(line, /^(|.{0,99}\S)$/);
    assert.ok(text.endsWith("\n"));
  });

  Deno.test(`${program} --help states the version`, () => {
    assert.match(lines[0] ?? "", new RegExp(`^${program} 1\\.2\\.3: `));
  });
}

Deno.test("the subcommands and their options are named", () => {
  assert.match(driverHelp("1"), /^ {2}csi-driver status /m);
  const options = ["init-ca", "--key", "--days N", "--subject CN", "--out DIR | --kubernetes"];
  for (const option of options) assert.ok(serviceHelp("1").includes(option), option);
});
