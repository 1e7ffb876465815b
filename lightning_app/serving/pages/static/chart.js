// Charts: past and forecast with its intervals, and bars of probabilities; drawn as SVG.

import { drawn, element, number } from "./dom.js";

const HEIGHT = 330;
const MARGIN = { left: 62, right: 14, top: 12, bottom: 34 };

export function seriesChart(series, unit, width) {
  const wide = widthFor(width);
  const steps = series.steps;
  const longest = Math.max(6 * steps.length, 60);
  const past = series.past.slice(-longest);
  const labels = series.pastLabels.slice(-longest);
  const bands = steps[0]?.bands ?? [];
  const all = [...past, ...steps.map((step) => step.value), ...steps.flatMap((step) => step.bands.flatMap((band) => [band.low, band.high]))].filter(Number.isFinite);
  if (!all.length) return element("p", { class: "quiet" }, "There is no number to draw.");
  const ticks = niceTicks(Math.min(...all), Math.max(...all));
  const span = [ticks[0], ticks[ticks.length - 1]];
  const last = past.length + steps.length - 1;
  const x = (place) => MARGIN.left + ((wide - MARGIN.left - MARGIN.right) * place) / Math.max(last, 1);
  const y = (value) => HEIGHT - MARGIN.bottom - ((HEIGHT - MARGIN.top - MARGIN.bottom) * (value - span[0])) / (span[1] - span[0] || 1);
  const joined = past.length ? [[past.length - 1, past[past.length - 1]]] : []; // the forecast starts at the last known value
  const ahead = steps.map((step, index) => [past.length + index, step.value]);
  const words = `${series.name}: ${past.length} known values, forecast of ${steps.length} steps from ${number(steps[0].value)} to ${number(steps[steps.length - 1].value)}`;
  const svg = drawn("svg", { viewBox: `0 0 ${wide} ${HEIGHT}`, class: "chart", role: "img", "aria-label": words });
  for (const tick of ticks) {
    svg.append(drawn("line", { class: "grid", x1: MARGIN.left, x2: wide - MARGIN.right, y1: y(tick), y2: y(tick) }));
    svg.append(drawn("text", { x: MARGIN.left - 8, y: y(tick) + 4, "text-anchor": "end" }, number(Number(tick.toPrecision(10)))));
  }
  bands.forEach((_, place) => {
    const low = steps.map((step, index) => [past.length + index, step.bands[place].low]);
    const high = steps.map((step, index) => [past.length + index, step.bands[place].high]);
    svg.append(drawn("path", { class: "band", d: `${line([...joined, ...high], x, y)}${line([...joined, ...low].reverse(), x, y).replace("M", "L")}Z` }));
  });
  if (past.length) {
    svg.append(drawn("line", { class: "now", x1: x(past.length - 1), x2: x(past.length - 1), y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }));
    svg.append(drawn("path", { class: "past", d: line(past.map((value, place) => [place, value]), x, y) }));
  }
  svg.append(drawn("path", { class: "forecast", d: line([...joined, ...ahead], x, y) }));
  const label = (place) => (place < past.length ? labels[place] ?? `${place - past.length + 1}` : steps[place - past.length].label);
  const shown = [...new Set([0, Math.max(past.length - 1, 0), last])].filter((place, index, places) => index !== 1 || places.length < 3 || (x(place) - x(0) > 140 && x(last) - x(place) > 140));
  shown.forEach((place, index) => {
    const anchor = index === 0 ? "start" : place === last ? "end" : "middle";
    svg.append(drawn("text", { x: x(place), y: HEIGHT - 10, "text-anchor": anchor }, label(place)));
  });
  const reading = element("li", { class: "reading" });
  addReading(svg, reading, { x, y, past, steps, label, last, wide });
  const legend = element("ul", { class: "legend" }, past.length ? element("li", {}, "past") : null, element("li", { class: "forecast" }, "forecast"), bands.length ? element("li", { class: "band" }, `intervals of ${bands.map((band) => `${Number((100 * band.share).toFixed(1))} %`).join(", ")}`) : null, reading);
  const title = [series.name, unit && unit !== "as given" && unit !== "as in training" ? unit : null].filter(Boolean).join(", ");
  return element("figure", { class: "figure" }, element("h3", {}, title), legend, svg);
}

// Shows the value under the pointer.
function addReading(svg, reading, { x, y, past, steps, label, last, wide }) {
  const cross = drawn("line", { class: "cross", y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom, visibility: "hidden" });
  const dot = drawn("circle", { class: "dot", r: 4, visibility: "hidden" });
  svg.append(cross, dot);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * wide;
    const place = Math.min(last, Math.max(0, Math.round(((at - MARGIN.left) / (wide - MARGIN.left - MARGIN.right)) * last)));
    const value = place < past.length ? past[place] : steps[place - past.length].value;
    if (!Number.isFinite(value)) return;
    for (const [name, place_] of [["x1", x(place)], ["x2", x(place)]]) cross.setAttribute(name, place_);
    dot.setAttribute("cx", x(place));
    dot.setAttribute("cy", y(value));
    for (const mark of [cross, dot]) mark.setAttribute("visibility", "visible");
    reading.textContent = `${label(place)}: ${number(value)}`;
  });
  svg.addEventListener("pointerleave", () => {
    for (const mark of [cross, dot]) mark.setAttribute("visibility", "hidden");
    reading.textContent = "";
  });
}

// Drawn at the width of the screen, so that letters keep their size.
function widthFor(width) {
  return Math.max(300, Math.min(820, Math.round(width)));
}

function line(points, x, y) {
  let path = "";
  let open = false;
  for (const [place, value] of points) {
    if (Number.isFinite(value)) path += `${open ? "L" : "M"}${x(place).toFixed(1)} ${y(value).toFixed(1)}`;
    open = Number.isFinite(value);
  }
  return path;
}

function niceTicks(low, high) {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough);
  const ticks = [];
  for (let tick = Math.floor(low / size); tick <= Math.ceil(high / size); tick += 1) ticks.push(tick * size);
  return ticks.length > 1 ? ticks : [ticks[0] - size, ticks[0], ticks[0] + size];
}

export function probabilityChart(labels, probabilities, width) {
  const wide = widthFor(width);
  const left = Math.min(200, wide * 0.32);
  const scale = wide - left - 66;
  const most = 12;
  const order = labels.map((label, place) => ({ label, share: probabilities[place] })).sort((one, other) => other.share - one.share);
  const shown = order.slice(0, most);
  const height = 30;
  const words = shown.map(({ label, share }) => `${label} ${(100 * share).toFixed(1)} %`).join(", ");
  const svg = drawn("svg", { viewBox: `0 0 ${wide} ${shown.length * height + 4}`, class: "chart", role: "img", "aria-label": `Probabilities: ${words}` });
  shown.forEach(({ label, share }, place) => {
    const top = place * height + 4;
    svg.append(drawn("rect", { class: place ? "bar other" : "bar", x: left, y: top, width: Math.max(1, scale * share), height: height - 12, rx: 3 }));
    svg.append(drawn("text", { class: "label", x: left - 10, y: top + 14, "text-anchor": "end" }, shortened(label, left / 8)));
    svg.append(drawn("text", { x: left + 8 + scale * share, y: top + 14 }, `${(100 * share).toFixed(1)} %`));
  });
  const rest = order.length > most ? element("p", { class: "hint" }, `and ${order.length - most} less likely classes`) : null;
  return element("figure", { class: "figure" }, element("h3", {}, "Probabilities"), svg, rest);
}

function shortened(label, most) {
  return label.length > most ? `${label.slice(0, Math.floor(most) - 1)}…` : label;
}

export function trafficLine(counts) {
  const most = Math.max(...counts, 1);
  const points = counts.map((count, place) => `${place ? "L" : "M"}${place} ${(20 - (18 * count) / most).toFixed(2)}`).join("");
  return drawn("svg", { viewBox: `0 0 ${Math.max(counts.length - 1, 1)} 21`, preserveAspectRatio: "none", class: "traffic", "aria-hidden": "true" }, drawn("path", { d: points }));
}
