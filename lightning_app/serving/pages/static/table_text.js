// Tables as text: CSV with commas, semicolons or tabs, or JSON, to rows with the columns of a form, and back.

export function tableText(names, rows) {
  return [names, ...rows].map((row) => row.map(cellText).join(",")).join("\n");
}

function cellText(cell) {
  const text = cell === null || cell === undefined ? "" : String(cell);
  return /[",;\t\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// The rows as objects; throws an Error in words.
export function readTable(text, columns) {
  const trimmed = text.trim();
  if (!trimmed) throw new Error("The table is empty.");
  if (trimmed.startsWith("[") || trimmed.startsWith("{")) return readJson(trimmed, columns);
  const lines = readLines(trimmed);
  const types = Object.fromEntries(columns.map((column) => [column.name, column.type]));
  const names = lines[0].map((name) => name.trim());
  const known = names.filter((name) => name in types).length;
  if (!known && columns.length !== names.length) {
    throw new Error(`The first line names no column of the model: ${columns.map((column) => column.name).join(", ")}.`);
  }
  const header = known ? names : columns.map((column) => column.name);
  return lines.slice(known ? 1 : 0).map((cells, index) => {
    if (cells.length !== header.length) {
      throw new Error(`Line ${index + (known ? 2 : 1)} has ${cells.length} values, ${header.length} are needed.`);
    }
    return Object.fromEntries(header.map((name, place) => [name, cellValue(cells[place], types[name])]));
  });
}

function readJson(text, columns) {
  let content;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new Error(`This is no JSON: ${error.message}`);
  }
  if (content.records) content = content.records;
  if (!Array.isArray(content)) throw new Error("A JSON list of rows is needed.");
  return content.map((row) =>
    Array.isArray(row) ? Object.fromEntries(columns.map((column, place) => [column.name, row[place] ?? null])) : row,
  );
}

function readLines(text) {
  const first = text.split("\n", 1)[0];
  const separator = ["\t", ";", ","].find((mark) => first.includes(mark)) ?? ",";
  const lines = [];
  let cells = [];
  let cell = "";
  let quoted = false;
  for (let place = 0; place <= text.length; place += 1) {
    const mark = text[place] ?? "\n";
    if (quoted) {
      if (place === text.length) throw new Error("A quotation mark is not closed.");
      if (mark !== '"') cell += mark;
      else if (text[place + 1] === '"') cell += text[(place += 1)];
      else quoted = false;
    } else if (mark === '"' && cell === "") quoted = true;
    else if (mark === separator) {
      cells.push(cell);
      cell = "";
    } else if (mark === "\n") {
      cells.push(cell.replace(/\r$/, ""));
      if (cells.length > 1 || cells[0] !== "") lines.push(cells);
      cells = [];
      cell = "";
    } else cell += mark;
  }
  return lines;
}

// A value of the column's type; text that is none is sent as it is, and the server says what is wrong with it.
export function cellValue(text, type) {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  if (type === "number" || type === "integer") return Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
  if (type === "boolean" && /^(true|false)$/i.test(trimmed)) return trimmed.toLowerCase() === "true";
  return text;
}
