// Series of an answer: past and forecast of each channel, from raw rows or from arrays.

// A list of {name, past: [number], pastLabels: [text], steps: [{label, value, low, high, ...}]}; empty if it is no series.
export function seriesOf(model, content, answer) {
  const about = model.form.series;
  const predictions = answer.predictions;
  if (!about || !Array.isArray(predictions) || !predictions.length) return [];
  const first = predictions[0];
  if (about.time !== null && ("time" in first || "step" in first)) return ofRows(about, content, predictions);
  const output = model.form.outputs.find((one) => Array.isArray(first[one.name]) && Array.isArray(first[one.name][0]));
  return output ? ofArrays(about, output, content, first) : [];
}

function ofRows(about, content, predictions) {
  const levels = Object.keys(predictions[0]).filter((name) => /^q0?\.\d+$/.test(name));
  const groups = new Map();
  for (const row of predictions) {
    if (row.origin !== undefined && row.step !== undefined && Number(row.step) === 1 && groups.has(nameOf(row))) groups.set(nameOf(row), []);
    groups.set(nameOf(row), [...(groups.get(nameOf(row)) ?? []), row]);
  }
  return [...groups].map(([name, rows]) => {
    const values = about.values.includes(name) ? name : about.values[0];
    const own = (content.records ?? []).filter((row) => about.id === null || String(row[about.id]) === name);
    const past = own.filter((row) => typeof row[values] === "number");
    return {
      name,
      past: past.map((row) => row[values]),
      pastLabels: past.map((row) => shortTime(String(row[about.time]).replace(/^(\d{4})(\d\d)(\d\d)$/, "$1-$2-$3"))),
      steps: rows.map((row) => step(shortTime(row.time) ?? `step ${row.step}`, levels.length ? levels.map((level) => row[level]) : [row.forecast], levels.map((level) => Number(level.slice(1))))),
    };
  });
}

function nameOf(row) {
  return String(row.channel ?? row.series ?? "");
}

function ofArrays(about, output, content, first) {
  const past = (content.records ?? [{}])[0][about.input];
  const isMatrix = Array.isArray(past) && Array.isArray(past[0]);
  const forecast = first[output.name];
  const hasLevels = output.levels !== null;
  const isFlat = !Array.isArray(forecast[0][0]) && hasLevels; // a horizon of quantiles, without channels
  const width = isFlat ? 1 : forecast[0].length;
  return Array.from({ length: Math.min(width, 8) }, (_, channel) => ({
    name: output.columns?.[channel] ?? (width > 1 ? `channel ${channel}` : output.name),
    past: isMatrix ? past.map((row) => row[channel]) : Array.isArray(past) && isFlat ? past : [],
    pastLabels: [],
    steps: forecast.map((row, index) => {
      const value = isFlat ? row : row[channel];
      return step(`step ${index + 1}`, hasLevels ? value : [value], output.levels ?? []);
    }),
  }));
}

// One step: the middle value, and an interval for each pair of levels from the widest to the narrowest.
function step(label, values, levels) {
  const middle = levels.length ? levels.reduce((best, level, place) => (Math.abs(level - 0.5) < Math.abs(levels[best] - 0.5) ? place : best), 0) : 0;
  const bands = [];
  for (let place = 0; place < Math.floor(levels.length / 2); place += 1) {
    const other = levels.length - 1 - place;
    bands.push({ low: values[place], high: values[other], share: levels[other] - levels[place] });
  }
  return { label, value: values[middle], bands };
}

export function shortTime(time) {
  return typeof time === "string" ? time.replace(/T00:00:00(\.0+)?$/, "").replace("T", " ").replace(/(:\d\d):00(\.0+)?$/, "$1") : null;
}
