// What is asked of the server. Its key, where it has one, is kept here and nowhere else: a page that is loaded again
// asks for it again.

let key = "";

/** The server said no: `status` and, as the message, why. */
export class Refused extends Error {
  constructor(status, why) {
    super(why);
    this.status = status;
  }
}

export function useKey(text) {
  key = text.trim();
}

export const get = (path, query) => ask("GET", path + (query ? `?${new URLSearchParams(query)}` : ""));
export const post = (path, json) => ask("POST", path, json);
export const remove = (path) => ask("DELETE", path);

async function ask(method, path, body) {
  const headers = {};
  if (key) headers.authorization = `Bearer ${key}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body, credentials: "omit", redirect: "error" });
  } catch {
    throw new Refused(0, "The server does not answer. Is it running?");
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, said.error ?? `The server said ${answer.status}.`);
  return said;
}
