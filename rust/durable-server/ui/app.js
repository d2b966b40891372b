// The page as a whole: which part is shown, what is asked again every two seconds, and what buttons do.

import { Refused, useKey } from "./ask.js";
import { h, update } from "./dom.js";
import * as events from "./events.js";
import * as functions from "./functions.js";
import * as run from "./run.js";
import * as runs from "./runs.js";

const EVERY_MS = 2000;
/** A question is asked again after so many times the time that its answer took. */
const REST = 10;

const content = document.getElementById("content");
const notice = document.getElementById("notice");
const acts = { ...run.acts, ...events.acts, key: giveKey };

let round = 0;
let timer = 0;
let shown = "";

/** `#/runs/ID?status=failed` in its parts. */
function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [name, id] = path.split("/", 2);
  return { name: name || "runs", id: id ? decoded(id) : "", query: new URLSearchParams(query ?? "") };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function partOf({ name, id }) {
  if (name === "runs") return id ? run : runs;
  return { events, functions }[name] ?? null;
}

async function show() {
  const mine = (round += 1);
  clearTimeout(timer);
  const here = place();
  const part = partOf(here);
  if (!part) return void (location.hash = "#/runs");
  const began = performance.now();
  let isLive = true;
  try {
    const data = await part.load(here);
    if (mine !== round) return;
    isLive = part.isLive(data, here);
    put(here, part.title(data), part.draw(data, here));
    tellTrouble("");
  } catch (error) {
    if (mine !== round) return;
    if (!(error instanceof Refused)) throw error;
    isLive = refused(error, here);
  }
  const took = performance.now() - began;
  if (isLive) timer = setTimeout(next, Math.max(EVERY_MS, REST * took));
}

/** Nobody looks: it can wait until somebody does. */
function next() {
  if (document.visibilityState === "visible") show();
}

function put(here, title, children) {
  document.title = `${title} · durable`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${here.name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const name = `${here.name}/${here.id}`;
  const isOther = shown !== "" && shown !== name;
  if (shown !== name) content.replaceChildren(); // what is open or written belongs to the other page
  shown = name;
  update(content, children);
  if (isOther) {
    window.scrollTo(0, 0);
    content.focus({ preventScroll: true });
  }
}

/** Whether it is asked again. */
function refused(error, here) {
  if (error.status === 401) {
    askForKey();
    return false;
  }
  if (error.status === 0 || error.status >= 500) {
    tellTrouble(error.message);
    return true;
  }
  put(here, "Not found", [h("h1", null, "There is nothing to show"), h("p", null, error.message)]);
  return false;
}

function askForKey() {
  if (shown === "key") return;
  content.replaceChildren(
    h("h1", null, "Signing key"),
    h("p", null, "This server has keys. The page keeps the one that you give until it is closed."),
    h(
      "form.key",
      { "data-act": "key" },
      h("label", { for: "key" }, "Key"),
      h("input", { id: "key", name: "key", type: "password", autocomplete: "off", required: true }),
      h("button.primary", { type: "submit" }, "Open"),
    ),
  );
  shown = "key";
  content.querySelector("input").focus();
}

async function giveKey(form) {
  useKey(form.elements.key.value);
  form.reset();
  shown = "";
  await show();
  return shown === "key" ? "The key is another one." : undefined;
}

let isTrouble = false;

function tellTrouble(text) {
  if (text) tell(text);
  else if (isTrouble) tell("");
  isTrouble = text !== "";
}

function tell(text) {
  notice.textContent = text;
  notice.hidden = text === "";
}

async function act(target) {
  const buttons = target.matches("form") ? target.querySelectorAll("button") : [target];
  for (const button of buttons) button.disabled = true;
  try {
    tell((await acts[target.dataset.act](target)) ?? "");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) return askForKey();
    tell(error.message);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
  if (shown !== "key") await show();
  return undefined;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-act]");
  if (button) act(button);
});
document.addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.target.dataset.act) act(event.target);
});
document.addEventListener("change", (event) => {
  const { filter } = event.target.dataset;
  if (!filter) return;
  const { name, query } = place();
  query.delete("cursor");
  if (event.target.value) query.set(filter, event.target.value);
  else query.delete(filter);
  location.hash = `#/${name}${query.size ? `?${query}` : ""}`;
});
document.addEventListener("visibilitychange", next);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address says which page this is
  content.focus();
});
window.addEventListener("hashchange", () => {
  tell("");
  show();
});
show();
