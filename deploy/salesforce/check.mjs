// Converts the source to a deployable package with Salesforce's own library, which knows every type,
// folder and suffix, and prints what does not fit.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ComponentSet, MetadataConverter } from '@salesforce/source-deploy-retrieve';

const warnings = [];
process.on('warning', (warning) => warnings.push(warning.message));

const here = path.dirname(fileURLToPath(import.meta.url));
const source = path.join(here, 'force-app');
const found = ComponentSet.fromSource(source);
const components = found.getSourceComponents().toArray();

const xml = fs.readdirSync(source, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => path.join(entry.parentPath, entry.name));
const known = new Set();
const note = (component) => {
  if (component.xml) known.add(component.xml);
  for (const child of component.getChildren()) note(child);
};
components.forEach(note);
for (const file of xml) {
  if (!known.has(file)) warnings.push(`${path.relative(here, file)} belongs to no component`);
}

const output = fs.mkdtempSync(path.join(os.tmpdir(), 'orderbridge-package-'));
try {
  const converted = await new MetadataConverter().convert(found, 'metadata', {
    type: 'directory',
    outputDirectory: output,
    genUniqueDir: false,
  });
  const manifest = fs.readFileSync(path.join(output, 'package.xml'), 'utf8');
  for (const component of components) {
    if (!manifest.includes(`<name>${component.type.name}</name>`)) {
      warnings.push(`${component.type.name} ${component.fullName} is not in package.xml`);
    }
  }
  console.log(`${xml.length} files, ${converted.converted.length} components`);
} finally {
  fs.rmSync(output, { recursive: true, force: true });
}
if (warnings.length > 0) {
  console.error(warnings.join('\n'));
  process.exit(1);
}
