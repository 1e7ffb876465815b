// Monitoring page: shows the newest report, and asks for a key where one is needed.

import { ask, key, Refusal } from "./connection.js";

const SECONDS = 30;
const at = (id) => document.getElementById(id);
const source = document.querySelector("main").dataset.source;
let shown = "";
let timer = null;

async function load() {
  clearTimeout(timer);
  try {
    const text = await ask(source, { text: true });
    at("key-form").hidden = true;
    at("problem").hidden = true;
    if (text !== shown) show(text);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const needsKey = error.status === 401 || error.status === 403;
    at("key-form").hidden = !needsKey;
    at("problem").hidden = error.status === 401 && !key.get();
    at("problem").textContent = error.message;
    at("made").textContent = needsKey ? "key needed" : error.status === 404 || error.status === 503 ? "no report yet" : "not up to date";
    if (needsKey) {
      at("content").replaceChildren();
      shown = "";
      key.forget();
    }
  }
  timer = setTimeout(load, SECONDS * (document.hidden ? 10 : 1) * 1000);
}

// The report is HTML that the monitoring process has written and escaped; scripts of it would not run either.
function show(text) {
  const report = new DOMParser().parseFromString(text.replace(/<style>[^]*?<\/style>/, ""), "text/html"); // this page has its own
  const open = [...at("content").querySelectorAll("details")].map((one) => one.open);
  at("content").replaceChildren(...report.querySelector("main").childNodes);
  at("made").textContent = report.querySelector("[role=status]").textContent;
  if (shown) at("content").querySelectorAll("details").forEach((one, place) => (one.open = open[place] ?? one.open));
  else if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  shown = text;
}

at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(at("key").value.trim());
  at("key").value = "";
  load();
});

document.addEventListener("visibilitychange", () => document.hidden || load());
load();
