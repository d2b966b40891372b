// The page of runs: newest first, as many as fit, of one state or one function where that is wanted.

import { get } from "./ask.js";
import { h } from "./dom.js";
import { length, moment, runLink, status } from "./words.js";

const STATES = ["queued", "running", "parked", "completed", "failed", "cancelled"];
const NAMES_LAST_MS = 10_000;
let names = { list: [], at: -Infinity };

async function functionNames() {
  if (performance.now() - names.at > NAMES_LAST_MS) {
    const { functions } = await get("/ui/api/functions");
    names = { list: functions.map((one) => one.name).sort(), at: performance.now() };
  }
  return names.list;
}

export const title = () => "Runs";
export const isLive = (_data, place) => !place.query.get("cursor");

export async function load(place) {
  const wanted = {};
  for (const name of ["status", "function", "cursor"]) {
    if (place.query.get(name)) wanted[name] = place.query.get(name);
  }
  const [page, functions] = await Promise.all([get("/ui/api/runs", wanted), functionNames()]);
  return { ...page, functions };
}

export function draw({ runs, next, now, functions }, place) {
  const chosen = place.query.get("function") ?? "";
  const all = functions.includes(chosen) || !chosen ? functions : [chosen, ...functions];
  return [
    h("h1", null, "Runs"),
    h(
      "div.tools",
      null,
      filter("status", "State", STATES, place),
      filter("function", "Function", all, place),
    ),
    runs.length ? table(runs, now) : nothing(place),
    pager(place, next),
  ];
}

function filter(name, label, values, place) {
  const chosen = place.query.get(name) ?? "";
  const options = ["", ...values].map((value) => h("option", { value, "data-key": `=${value}` }, value || "any"));
  return h("label", null, label, h("select", { "data-filter": name, "data-chosen": chosen }, options));
}

function table(runs, now) {
  const heads = ["State", "Function", "Run", "Created", "Took"];
  return h(
    "table.runs",
    null,
    h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", null, runs.map((run) => row(run, now))),
  );
}

function row(run, now) {
  const took = run.started_at === null ? "" : length((run.ended_at ?? now) - run.started_at);
  return h(
    "tr",
    { "data-key": run.id },
    h("td", { "data-label": "State" }, status(run.status)),
    h(
      "td.wide",
      { "data-label": "Function" },
      h("span.function", null, run.function),
      run.error !== null && h("span.error.line", { title: run.error }, run.error),
    ),
    h("td", { "data-label": "Run" }, runLink(run.id)),
    h("td", { "data-label": "Created" }, moment(run.created_at, now)),
    h("td.number", { "data-label": "Took" }, took),
  );
}

function nothing(place) {
  const isFiltered = place.query.get("status") || place.query.get("function");
  const why = isFiltered ? "No run is like that." : "No run yet: send an event that a function waits for.";
  return h("p.empty", null, why, " ", !isFiltered && h("a", { href: "#/events" }, "Send one"));
}

/** Links to older ones, and back to the newest. */
export function pager(place, next) {
  const link = (cursor) => {
    const query = new URLSearchParams(place.query);
    query.delete("cursor");
    if (cursor) query.set("cursor", cursor);
    const text = query.toString();
    return `#/${place.name}${text ? `?${text}` : ""}`;
  };
  return h(
    "p.pager",
    null,
    place.query.get("cursor") && h("a", { href: link("") }, "Newest"),
    next && h("a", { href: link(next) }, "Older"),
  );
}
