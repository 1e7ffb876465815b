// Status page: models with their traffic, refreshed every few seconds, and the form to try one.

import { showAnswer, showRefusal } from "./answer.js";
import { trafficLine } from "./chart.js";
import { ask, key, Refusal } from "./connection.js";
import { element, number } from "./dom.js";
import { showForm } from "./form.js";

const SECONDS = 3;
const HISTORY = 60;

const at = (id) => document.getElementById(id);
const counts = new Map(); // model to [time, requests] of each refresh
let forms = null;
let shownForms = "";
let timer = null;

async function refresh() {
  clearTimeout(timer);
  try {
    const data = await ask("page/data");
    at("key-form").hidden = true;
    at("problem").hidden = true;
    showHealth(data);
    at("monitor-link").hidden = !data.monitored;
    showModels(data.models, data.time);
    showServer(data);
    const digests = data.models.map((model) => model.digest).join();
    if (digests !== shownForms) {
      forms = (await ask("page/forms")).models;
      shownForms = digests;
      showTry();
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.status === 401 || error.status === 403) askForKey(error);
    else {
      at("problem").textContent = error.message;
      at("problem").hidden = false;
    }
    badge(error.status ? "refused" : "unreachable", false);
  }
  timer = setTimeout(refresh, (document.hidden ? 10 : 1) * SECONDS * 1000);
}

function askForKey(error) {
  at("key-form").hidden = false;
  at("models-section").hidden = true;
  at("try-section").hidden = true;
  if (key.get()) {
    at("problem").textContent = error.message;
    at("problem").hidden = false;
    key.forget();
  }
}

at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(at("key").value.trim());
  at("key").value = "";
  at("models-section").hidden = false;
  refresh();
});

function badge(words, isGood) {
  const health = at("health");
  health.textContent = words;
  health.className = `badge ${isGood ? "good" : "bad"}`;
}

function showHealth(data) {
  const problems = data.problems ?? [];
  badge(problems.length ? problems[0] : "ready", !problems.length);
}

function showModels(models, time) {
  at("models-section").hidden = false;
  at("models").replaceChildren(...models.map((model) => modelCard(model, time)));
}

function modelCard(model, time) {
  const seen = [...(counts.get(model.name) ?? []), [time, model.requests]].slice(-HISTORY - 1);
  counts.set(model.name, seen);
  const rates = seen.slice(1).map(([now, count], place) => Math.max(0, count - seen[place][1]) / Math.max(now - seen[place][0], 0.001));
  const facts = [
    ["requests", number(model.requests)],
    ["per second", rates.length ? number(rates[rates.length - 1], 3) : "–"],
    ["refused", number(model.refused)],
    ["failed", number(model.failed), model.failed ? "wrong" : null],
    ...["p50", "p95", "p99"].map((name) => [`${name} latency`, milliseconds(model.latency_ms[name])]),
  ];
  const about = [model.version === null ? null : `version ${model.version}`, model.reference, model.task].filter(Boolean).join(" · ");
  const title = element("div", {}, element("h3", {}, model.name), element("p", { class: "about" }, about ? `${about} · ` : "", element("span", { class: "mono", title: `digest ${model.digest}` }, model.digest.slice(0, 12))));
  const numbers = element("dl", { class: "numbers" }, facts.map(([name, value, kind]) => element("div", {}, element("dt", {}, name), element("dd", { class: kind ?? null }, value))));
  const traffic = rates.length > 1 ? trafficLine(rates) : null;
  const problem = model.problem ? element("p", { class: "problem" }, model.problem) : null;
  return element("article", { class: "card model" }, title, element("div", {}, numbers, traffic), verdictBox(model.verdict), experimentBox(model.experiment), shadowBox(model.shadow), model.arms.length > 1 ? armsTable(model) : null, problem);
}

function experimentBox(experiment) {
  if (!experiment) return null;
  const words = [experiment.kind ?? "split", experiment.id, experiment.status].filter(Boolean).join(" · ");
  const about = element("p", { class: "about" }, words, experiment.reason ? element("span", { class: "wrong" }, ` ${experiment.reason}`) : "");
  const shares = experiment.shares ?? {};
  const arms = [...new Set([...Object.keys(shares), ...Object.keys(experiment.arms ?? {})])];
  const head = ["arm", "share", "requests", "failed", "rewards", "mean reward"].map((name, place) => element("th", { scope: "col", class: place ? "number" : null }, name));
  const rows = arms.map((name) => {
    const arm = (experiment.arms ?? {})[name] ?? {};
    const share = name in shares ? `${number(100 * shares[name], 3)} %` : experiment.shares ? "0 %" : "by request";
    const values = [share, ...[arm.requests, arm.failures, arm.rewards].map((value) => value === undefined ? "–" : number(value)), arm.mean === undefined || arm.mean === null ? "–" : number(arm.mean, 4)];
    return element("tr", {}, element("td", {}, name), values.map((value) => element("td", { class: "number" }, value)));
  });
  return element("div", { class: "arms" }, about, element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows)));
}

function verdictBox(verdict) {
  if (!verdict) return null;
  const kinds = { good: "good", bad: "bad" };
  const status = element("a", { class: `badge ${kinds[verdict.status] ?? ""}`, href: "monitor" }, verdict.words);
  return element("p", { class: "about arms" }, status, ` ${verdict.text}`);
}

function shadowBox(shadow) {
  if (!shadow) return null;
  const version = shadow.version === null ? shadow.digest.slice(0, 12) : `version ${shadow.version}`;
  const words = [`shadow ${version}`, `${number(shadow.requests)} requests`];
  if (shadow.agreement !== null) words.push(`agrees in ${number(100 * shadow.agreement, 3)} % of ${number(shadow.rows)} rows`);
  if (shadow.failed) words.push(`${number(shadow.failed)} failed`);
  if (shadow.left_out) words.push(`${number(shadow.left_out)} left out, it is too slow`);
  if (shadow.stateful) words.push(`${number(shadow.stateful)} of streams not asked`);
  return element("p", { class: "about arms" }, words.join(" · "));
}

function armsTable(model) {
  const head = ["arm", "version", "requests", "p50 latency"].map((name, place) => element("th", { scope: "col", class: place > 1 ? "number" : null }, name));
  const rows = model.arms.map((arm) => element("tr", {}, element("td", {}, arm.name), element("td", {}, arm.version === null ? "" : String(arm.version)), element("td", { class: "number" }, number(arm.requests)), element("td", { class: "number" }, milliseconds(arm.p50_ms))));
  return element("details", { class: "arms" }, element("summary", { class: "about" }, `${rows.length} versions and arms have answered`), element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows)));
}

function milliseconds(value) {
  return value === null || value === undefined ? "–" : `${number(value, value < 10 ? 2 : 3)} ms`;
}

function showServer(data) {
  at("server").replaceChildren(...data.facts.map((fact) => element("div", {}, element("dt", {}, fact.name), element("dd", {}, fact.value))));
}

function showTry() {
  const usable = forms ?? [];
  at("try-section").hidden = !usable.length;
  const choice = at("try-model");
  const chosen = choice.value;
  choice.replaceChildren(...usable.map((model) => element("option", { value: model.name }, model.name)));
  at("try-choice").hidden = usable.length < 2;
  if (usable.some((model) => model.name === chosen)) choice.value = chosen;
  choice.onchange = () => chooseModel(usable.find((model) => model.name === choice.value));
  if (usable.length) chooseModel(usable.find((model) => model.name === choice.value) ?? usable[0]);
}

function chooseModel(model) {
  at("answer").replaceChildren(element("p", { class: "quiet" }, "The answer appears here."));
  showForm(at("try-form"), model, async (content) => {
    const started = performance.now();
    try {
      const answer = await ask(`models/${encodeURIComponent(model.name)}/predict`, { body: JSON.stringify(content) });
      showAnswer(at("answer"), model, content, answer, performance.now() - started);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      showRefusal(at("answer"), error);
    }
  });
}

document.addEventListener("visibilitychange", () => document.hidden || refresh());
refresh();
