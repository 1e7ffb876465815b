// Status page: models with their traffic, refreshed every few seconds, and the form to try one.

import { showAnswer, showRefusal } from "./answer.js";
import { trafficLine } from "./chart.js";
import { ask, key, Refusal } from "./connection.js";
import { element, number } from "./dom.js";
import { showForm } from "./form.js";

const SECONDS = 3;
const HISTORY = 60;

const at = (id) => document.getElementById(id);
const counts = new Map(); // model to its numbers of requests, one per refresh
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
    showModels(data.models);
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

function showModels(models) {
  at("models-section").hidden = false;
  at("models").replaceChildren(...models.map(modelCard));
}

function modelCard(model) {
  const seen = [...(counts.get(model.name) ?? []), model.requests].slice(-HISTORY - 1);
  counts.set(model.name, seen);
  const rates = seen.slice(1).map((count, place) => Math.max(0, count - seen[place]) / SECONDS);
  const latency = model.latency_ms ?? {};
  const facts = [
    ["requests", number(model.requests)],
    ["per second", rates.length ? number(Number(rates[rates.length - 1].toFixed(1))) : "–"],
    ["errors", number(model.errors), model.errors ? "wrong" : null],
    ...["p50", "p95", "p99"].map((name) => [`${name} latency`, milliseconds(latency[name])]),
  ];
  const about = [model.version === null ? "a folder" : `version ${model.version}`, model.reference, model.task].filter(Boolean).join(" · ");
  const title = element("div", {}, element("h3", {}, model.name), element("p", { class: "about" }, about), element("p", { class: "about mono", title: model.digest }, model.digest.slice(0, 12)));
  const numbers = element("dl", { class: "numbers" }, facts.map(([name, value, kind]) => element("div", {}, element("dt", {}, name), element("dd", { class: kind ?? null }, value))));
  const traffic = rates.length > 1 ? trafficLine(rates) : null;
  const arms = model.arms.length > 1 ? element("p", { class: "arms about" }, model.arms.map((arm) => `${arm.name}: ${number(100 * arm.probability, 3)} %${arm.version === null ? "" : ` version ${arm.version}`}`).join(" · ")) : null;
  const problem = model.problem ? element("p", { class: "problem" }, model.problem) : null;
  return element("article", { class: "card model" }, title, element("div", {}, numbers, traffic), arms, problem);
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
