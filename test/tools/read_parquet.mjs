// Reads Parquet files with a reader that nobody here wrote, and prints what it makes of them as lines of JSON: the
// schema and the number of rows of each file, then its rows, with bytes in base64 and times in milliseconds.
import { pathToFileURL } from 'node:url';

const [folder, ...files] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(`${folder}/node_modules/${path}`));
const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await load('hyparquet/src/node.js');
const { compressors } = await load('hyparquet-compressors/src/index.js');

const plain = (value) => {
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString('base64') };
  if (value instanceof Date) return value.getTime();
  if (typeof value === 'bigint') return Number(value);
  return value ?? null;
};

for (const path of files) {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  const columns = metadata.schema.slice(1).map((column) => [
    column.name, column.type, column.repetition_type, column.converted_type ?? null,
    column.logical_type?.isAdjustedToUTC ?? null]);
  console.log(JSON.stringify({ columns, rows: Number(metadata.num_rows), groups: metadata.row_groups.length,
    codecs: [...new Set(metadata.row_groups.flatMap((group) => group.columns.map((column) => column.meta_data.codec)))] }));
  const rows = await parquetReadObjects({ file, metadata, compressors, utf8: false });
  for (const row of rows) {
    console.log(JSON.stringify(Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)]))));
  }
}
