// Requests to this server; an API key lives in the session storage of this tab, and nowhere else.

const KEY = "lightning-app-key";

export class Refusal extends Error {
  constructor(status, message, rows) {
    super(message);
    this.status = status;
    this.rows = rows;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

export async function ask(path, { body = null, text = false } = {}) {
  const headers = key.get() ? { authorization: `Bearer ${key.get()}` } : {};
  const options = { headers, cache: "no-store", credentials: "omit" };
  if (body !== null) {
    options.method = "POST";
    options.body = body;
    headers["content-type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refusal(0, "The server cannot be reached.");
  }
  const content = await response.text();
  if (response.ok && text) return content;
  let parsed = null;
  try {
    parsed = JSON.parse(content);
  } catch {
    throw new Refusal(response.status, `The server answered ${response.status} without JSON.`);
  }
  if (response.ok) return parsed;
  const error = parsed.error ?? {};
  throw new Refusal(response.status, error.message ?? `The server answered ${response.status}.`, error.rows);
}
