// Bundles src/ into ../static/: names that carry their content's hash, .gz and .br beside each, and manifest.json
// (logical name -> file, size in bytes, size gzipped). Everything in ../static/ is made here and can be deleted.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "static");
const pack = { gz: promisify(gzip), br: promisify(brotliCompress) };
const options = { gz: { level: 9 }, br: { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } } };

const bundle = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.ts", "src/boards.ts", "src/ops.ts", "src/worker.ts", "src/page.css", "src/ops.css"],
  bundle: true,
  write: false,
  outdir: "out",
  format: "iife",
  minify: true,
  target: ["chrome109", "firefox115", "safari16"],
  legalComments: "eof",
  logLevel: "warning",
});
const outputs = bundle.outputFiles.map((file) => [basename(file.path), Buffer.from(file.contents)]);
outputs.push(["icon.svg", await readFile(join(here, "src", "icon.svg"))]);

await mkdir(target, { recursive: true });
const manifest = {};
for (const [name, bytes] of outputs) {
  const extension = extname(name);
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  const file = `${basename(name, extension)}-${hash}${extension}`;
  const zipped = await pack.gz(bytes, options.gz);
  await writeFile(join(target, file), bytes);
  await writeFile(join(target, `${file}.gz`), zipped);
  await writeFile(join(target, `${file}.br`), await pack.br(bytes, options.br));
  manifest[name] = { file, bytes: bytes.length, gzip_bytes: zipped.length };
}
// The manifest is exchanged last and whole, so a running server always names files that exist.
const draft = join(target, "manifest.json.new");
await writeFile(draft, `${JSON.stringify(manifest, null, 1)}\n`);
await rename(draft, join(target, "manifest.json"));
const kept = new Set(["manifest.json", "build.lock", ...Object.values(manifest).flatMap(({ file }) => [file, `${file}.gz`, `${file}.br`])]);
for (const name of await readdir(target)) if (!kept.has(name)) await rm(join(target, name));
