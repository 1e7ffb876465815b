// Answer of a model: a picture where it is a series or has probabilities, and always a table.

import { probabilityChart, seriesChart } from "./chart.js";
import { element, number } from "./dom.js";
import { seriesOf, shortTime } from "./series.js";

const MOST_ROWS = 200;
const MOST_PICTURES = 6;

export function showAnswer(place, model, content, answer, milliseconds) {
  const who = [model.name, answer.version === null ? null : `version ${answer.version}`, answer.arm].filter(Boolean).join(", ");
  const parts = [element("div", { class: "line spread" }, element("h3", {}, "Answer"), element("span", { class: "hint" }, `${who}, ${Math.round(milliseconds)} ms`))];
  const width = place.clientWidth - 40;
  const series = seriesOf(model, content, answer);
  for (const one of series.slice(0, MOST_PICTURES)) parts.push(seriesChart(one, unitOf(model, one.name), width));
  if (series.length > MOST_PICTURES) parts.push(element("p", { class: "hint" }, `and ${series.length - MOST_PICTURES} more series, in the table`));
  const records = Array.isArray(answer.predictions) ? answer.predictions : [];
  const classes = model.form.outputs.find((output) => output.labels?.length);
  if (classes && records.length === 1 && Array.isArray(records[0][classes.name]) && typeof records[0][classes.name][0] === "number") {
    parts.push(probabilityChart(classes.labels, records[0][classes.name], width));
  }
  parts.push(...answer.notes.map((note) => element("p", { class: "note" }, note)));
  parts.push(answerTable(series.length && Array.isArray(records[0].forecast) ? flattened(series) : records, model));
  parts.push(element("p", { class: "hint mono below" }, `request ${answer.request_id}`));
  place.replaceChildren(...parts);
  place.focus({ preventScroll: true });
}

export function showRefusal(place, refusal) {
  const rows = Object.entries(refusal.rows ?? {});
  place.replaceChildren(
    element("h3", {}, refusal.status ? `Refused (${refusal.status})` : "No answer"),
    element("p", { class: "problem", role: "alert" }, refusal.message),
    ...(rows.length ? [element("ul", {}, rows.slice(0, 20).map(([row, reason]) => element("li", {}, `row ${Number(row) + 1}: ${reason}`)))] : []),
  );
}

function unitOf(model, name) {
  for (const part of model.form.parts) {
    const column = part.columns?.find((one) => one.name === name);
    if (column?.unit) return column.unit;
  }
  return model.form.outputs[0]?.unit ?? null;
}

// Forecasts that came as nested lists, a row per step.
function flattened(series) {
  return series.flatMap((one) =>
    one.steps.map((step) => ({ channel: one.name, step: step.label, forecast: step.value, ...Object.fromEntries(step.bands.flatMap((band) => [[`${Math.round(100 * band.share)} % low`, band.low], [`${Math.round(100 * band.share)} % high`, band.high]])) })),
  );
}

function answerTable(records, model) {
  if (!records.length) return element("p", { class: "quiet" }, "The answer has no rows.");
  const names = Object.keys(records[0]);
  const isNumber = Object.fromEntries(names.map((name) => [name, typeof records[0][name] === "number"]));
  const units = Object.fromEntries(model.form.outputs.map((output) => [output.name, output.unit]));
  const head = names.map((name) => element("th", { scope: "col", class: isNumber[name] ? "number" : null }, name, units[name] && units[name] !== "as given" && units[name].length < 30 ? element("span", { class: "hint" }, ` ${units[name]}`) : null));
  const body = records.slice(0, MOST_ROWS).map((record) => element("tr", {}, names.map((name) => element("td", { class: isNumber[name] ? "number" : null }, cell(name, record[name])))));
  const caption = records.length > MOST_ROWS ? `the first ${MOST_ROWS} of ${records.length.toLocaleString("en")} rows` : `${records.length} row${records.length === 1 ? "" : "s"}`;
  return element("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Predictions" }, element("table", {}, element("caption", {}, caption), element("thead", {}, element("tr", {}, head)), element("tbody", {}, body)));
}

function cell(name, value) {
  if (Array.isArray(value)) {
    const flat = value.flat(Infinity);
    return `[${flat.slice(0, 8).map((one) => number(one, 4)).join(", ")}${flat.length > 8 ? `, … ${flat.length} numbers` : ""}]`;
  }
  if (typeof value === "string" && (name === "time" || name === "origin")) return shortTime(value);
  return number(value);
}
