// Form of a model, made from its signature: fields, tables as text, and the JSON body that they stand for.

import { element } from "./dom.js";
import { cellValue, readTable, tableText } from "./table_text.js";

export function showForm(form, model, onSubmit) {
  const readers = [];
  const fields = element("div", { class: "fields" });
  const parts = model.form.parts.map((part, index) => {
    const id = `part-${index}`;
    const [node, read] = MAKERS[part.kind](part, id);
    readers.push({ part, read });
    if (part.kind === "field") fields.append(node);
    return part.kind === "field" ? null : node;
  });
  const send = element("button", { type: "submit" }, "Predict");
  const reset = element("button", { type: "button", class: "second", onclick: () => showForm(form, model, onSubmit) }, "Sample again");
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  form.replaceChildren(
    element("p", { class: "small quiet" }, model.needs),
    ...(fields.children.length ? [element("div", { class: "part" }, fields)] : []),
    ...parts.filter(Boolean),
    problem,
    element("div", { class: "actions" }, send, reset),
  );
  form.onsubmit = async (event) => {
    event.preventDefault();
    problem.hidden = true;
    let content;
    try {
      content = bodyOf(model.form.shape, readers);
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      return;
    }
    send.disabled = true;
    await onSubmit(content);
    send.disabled = false;
  };
}

function bodyOf(shape, readers) {
  if (shape === "rows") return { records: readers[0].read() };
  if (shape === "tables") {
    return { tables: Object.fromEntries(readers.map(({ part, read }) => [part.name, { records: read() }])) };
  }
  const record = {};
  for (const { part, read } of readers) {
    const value = read();
    const isArray = part.kind === "table";
    record[part.name] = isArray ? value.map((row) => part.columns.map((column) => row[column.name] ?? null)) : value;
  }
  return { records: [record] };
}

const MAKERS = { field: makeField, table: makeTable, text: makeText, json: makeJson };

function makeField(part, id) {
  const hint = [part.unit, part.role && part.role !== "feature" ? part.role : null].filter(Boolean).join(", ");
  const label = element("label", { for: id }, part.name, hint ? element("span", { class: "hint" }, ` ${hint}`) : null);
  if (part.type === "boolean") {
    const box = element("input", { type: "checkbox", id, checked: part.value === true });
    return [element("div", {}, label, box), () => box.checked];
  }
  const isNumber = part.type === "number" || part.type === "integer";
  const list = part.choices.length ? element("datalist", { id: `${id}-list` }, part.choices.map((choice) => element("option", { value: choice }))) : null;
  const input = element("input", {
    id,
    type: "text",
    inputmode: isNumber ? "decimal" : null,
    value: part.value ?? "",
    list: list ? list.id : null,
    autocomplete: "off",
    spellcheck: "false",
    placeholder: part.required ? null : "may be empty",
  });
  const range = part.max === null || part.max === undefined ? null : element("span", { class: "hint" }, `${part.min} to ${part.max}`);
  return [element("div", {}, label, input, list, range), () => cellValue(input.value, part.type)];
}

function makeTable(part, id) {
  const names = part.columns.map((column) => column.name);
  const rows = element("textarea", { id, rows: Math.min(14, part.rows.length + 2), spellcheck: "false", autocomplete: "off" });
  rows.value = tableText(names, part.rows);
  const count = element("span", { class: "hint", id: `${id}-count`, role: "status" });
  const read = () => readTable(rows.value, part.columns);
  const say = () => {
    try {
      const found = read().length;
      count.textContent = `${found.toLocaleString("en")} row${found === 1 ? "" : "s"}`;
    } catch (error) {
      count.textContent = error.message;
    }
  };
  rows.addEventListener("input", say);
  rows.setAttribute("aria-describedby", count.id);
  say();
  const label = element("label", { for: id }, part.name ?? "Rows", element("span", { class: "hint" }, " CSV or JSON, type or paste"));
  const columns = part.columns.map((column) => [column.name, [column.role, column.unit].filter(Boolean).join(", ")]).filter(([, words]) => words);
  const words = columns.length && columns.length <= 12 ? columns.map(([name, what]) => `${name}: ${what}`).join("; ") : "";
  return [element("div", { class: "part" }, label, rows, element("div", { class: "line spread" }, count), words ? element("p", { class: "hint" }, words) : null), read];
}

function makeText(part, id) {
  const words = element("textarea", { id, rows: 4, class: "words" });
  words.value = part.value ?? "";
  return [element("div", { class: "part" }, element("label", { for: id }, part.name), words), () => words.value];
}

function makeJson(part, id) {
  const json = element("textarea", { id, rows: 5, spellcheck: "false" });
  json.value = JSON.stringify(part.value);
  const label = element("label", { for: id }, part.name, element("span", { class: "hint" }, ` JSON, ${part.hint}`));
  const read = () => {
    try {
      return JSON.parse(json.value);
    } catch (error) {
      throw new Error(`${part.name}: this is no JSON: ${error.message}`);
    }
  };
  return [element("div", { class: "part" }, label, json), read];
}
