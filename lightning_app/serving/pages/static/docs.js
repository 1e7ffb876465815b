// Documentation: asks for a key where one is needed, and sends the bodies of "Try it".

import { ask, key, Refusal } from "./connection.js";

const at = (id) => document.getElementById(id);

async function load() {
  try {
    at("content").innerHTML = await ask("page/docs", { text: true }); // written and escaped by the server
    at("key-form").hidden = true;
    at("problem").hidden = true;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    at("key-form").hidden = error.status !== 401 && error.status !== 403;
    at("problem").hidden = error.status === 401 && !key.get();
    at("problem").textContent = error.message;
    if (error.status === 401) key.forget();
  }
}

at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(at("key").value.trim());
  at("key").value = "";
  load();
});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form.run");
  if (!form) return;
  event.preventDefault();
  const place = form.querySelector(".answer");
  place.hidden = false;
  place.textContent = "…";
  try {
    const answer = await ask(form.dataset.path, { body: form.elements.body.value });
    place.textContent = JSON.stringify(answer, null, 1);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    place.textContent = `${error.status || "No answer"}: ${error.message}`;
  }
});

if (!at("content").childElementCount) load();
