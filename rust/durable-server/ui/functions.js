// The page of functions: what starts each, how its runs stand, what protects it and how much of that is used.

import { get } from "./ask.js";
import { h } from "./dom.js";
import { length, moment, runLink } from "./words.js";

export const title = () => "Functions";
export const isLive = () => true;
export const load = () => get("/ui/api/functions");

export function draw({ functions, now }) {
  const known = [...functions].sort((one, other) => one.is_archived - other.is_archived || (one.name < other.name ? -1 : 1));
  return [
    h("h1", null, "Functions"),
    known.length ? null : h("p.empty", { "data-key": "none" }, "No function: has an application said what it has?"),
    h("div.cards", null, known.map((one) => card(one, now))),
  ];
}

function card(one, now) {
  return h(
    "section.card",
    { "data-key": one.name, "aria-label": one.name },
    h(
      "div.head",
      null,
      h("h2", null, h("a", { href: `#/runs?function=${encodeURIComponent(one.name)}` }, one.name)),
      h("span.muted", null, one.app),
      one.is_paused && h("span.tag", null, "paused"),
      one.is_archived && h("span.tag", null, "no longer there"),
    ),
    one.endpoint && h("p.id.muted", null, one.endpoint),
    h("dl.facts", null, fact("Started by", triggers(one, now)), fact("Runs", counts(one)), rules(one)),
    one.limits.length > 0 && limits(one, now),
  );
}

const fact = (name, ...value) => h("div", { "data-key": name }, h("dt", null, name), h("dd", null, value));

function triggers(one, now) {
  const events = one.triggers.map(({ event, condition }) =>
    h("div", null, "event ", h("span.step", null, event), condition && [" if ", h("code", null, condition)]));
  const crons = one.crons.map(({ cron, tz }) => h("div", null, "cron ", h("code", null, cron), ` ${tz}`));
  const next = one.next_at !== null && h("div.muted", null, "next ", moment(one.next_at, now));
  const all = [events, crons, next].flat().filter(Boolean);
  return all.length ? all : h("span.muted", null, "invoked only");
}

function counts({ name, counts: of }) {
  if (!of) return h("span.muted", null, "none");
  const words = ["queued", "running", "parked", "completed", "failed", "cancelled"];
  const shown = words.filter((word) => of[word] > 0);
  const link = (word) => `#/runs?${new URLSearchParams({ status: word, function: name })}`;
  const parts = shown.map((word) => h("a.count", { href: link(word), "data-key": word }, `${of[word]} ${word}`));
  const skipped = of.skipped > 0 && h("span.muted", null, `${of.skipped} not started`);
  return parts.length || skipped ? [parts, skipped] : h("span.muted", null, "none yet");
}

const by = (key) => (key ? ` for each ${key}` : "");

/** The policies as their author declared them. */
function rules({ policies: of, retries }) {
  const all = [];
  for (const one of of.concurrency) {
    const scope = one.scope === "fn" ? "" : `, shared in the ${one.scope === "env" ? "environment" : "account"}`;
    all.push(["concurrency", `${one.limit} at once${by(one.key)}${scope}`]);
  }
  if (of.run_concurrency) all.push(["run concurrency", `${of.run_concurrency.limit}${by(of.run_concurrency.key)}`]);
  for (const [word, name] of [["throttle", "throttle"], ["rate_limit", "rate limit"]]) {
    const one = of[word];
    const more = one?.burst ? `, ${one.burst} more at once` : "";
    if (one) all.push([name, `${one.limit} in ${length(one.period_ms)}${more}${by(one.key)}`]);
  }
  if (of.idempotency) all.push(["idempotency", `once a day for each ${of.idempotency}`]);
  if (of.priority) all.push(["priority", of.priority]);
  if (of.debounce) all.push(["debounce", `${length(of.debounce.period_ms)}${by(of.debounce.key)}`]);
  if (of.batch) all.push(["batch", `${of.batch.max_size} events or ${length(of.batch.timeout_ms)}${by(of.batch.key)}`]);
  if (of.singleton) all.push(["singleton", `${of.singleton.mode ?? ""}${by(of.singleton.key)}`.trim() || "one run"]);
  for (const [word, ms] of Object.entries(of.timeouts ?? {})) {
    if (typeof ms === "number") all.push(["timeout", `${word.replace(/_ms$/, "")} within ${length(ms)}`]);
  }
  for (const one of of.cancel_on) all.push(["cancelled by", one.event]);
  all.push(["retries", String(retries)]);
  const items = all.map(([name, text]) => h("li", null, h("span.muted", null, `${name}: `), text));
  return h("div", { "data-key": "rules" }, h("dt", null, "Rules"), h("dd", null, h("ul.plain", null, items)));
}

function limits(one, now) {
  const heads = ["Limit", "Value", "Used", "Waiting", "Next"];
  return h(
    "table.limits",
    { "data-key": "limits" },
    h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", null, one.limits.map((limit) => row(limit, now))),
  );
}

function row(limit, now) {
  const { taken, left } = limit;
  const held = taken === null ? "" : `${taken} of ${limit.limit}`;
  const used = left === null ? held : `${left} left`; // with a burst there may be more than the limit
  return h(
    "tr",
    null,
    h("td", { "data-label": "Limit" }, limit.policy.replace("_", " ")),
    h("td.wide", { "data-label": "Value" }, limit.key ? [h("code", null, limit.key), " = ", limit.value ?? "nothing"] : ""),
    h(
      "td",
      { "data-label": "Used" },
      taken !== null && h("meter", { min: "0", max: limit.limit, value: taken, "aria-hidden": "true" }),
      used,
    ),
    h("td.number", { "data-label": "Waiting" }, limit.waiting),
    h(
      "td",
      { "data-label": "Next" },
      limit.next_at_ms !== null && moment(limit.next_at_ms, now),
      limit.run && [" ", runLink(limit.run)],
    ),
  );
}
