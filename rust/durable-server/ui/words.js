// Moments, lengths, sizes and states in words.

import { h } from "./dom.js";

const SIGNS = {
  queued: "○",
  running: "▸",
  parked: "◇",
  completed: "✓",
  failed: "✕",
  cancelled: "–",
  backing_off: "↻",
  sleeping: "◇",
  waiting: "◇",
};

/** A state: a sign and its word, so that its colour is not needed. */
export function status(word) {
  const sign = h("span.sign", { "aria-hidden": "true" }, SIGNS[word] ?? "·");
  return h("span.status", { "data-status": word }, sign, word.replace("_", " "));
}

/** How long, from ms: "0.4 s", "2 min 5 s", "3 d 4 h". */
export function length(ms) {
  if (ms < 10) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.floor(s)} s`;
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, of]) => s >= of);
  const [[big, of], [small, under]] = [units[first], units[first + 1]];
  const rest = Math.floor((s % of) / under);
  return `${Math.floor(s / of)} ${big}${rest ? ` ${rest} ${small}` : ""}`;
}

const DAY = 86_400_000;
const two = (number) => String(number).padStart(2, "0");

/** A moment by the reader's clock: the time, and the day where it is not today's. */
export function moment(ms, now) {
  const at = new Date(ms);
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const isToday = Math.abs(now - ms) < DAY && at.getDate() === new Date(now).getDate();
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const whole = Number.isNaN(at.getTime()) ? String(ms) : at.toISOString();
  return h("time", { datetime: whole, title: whole }, isToday ? clock : `${day} ${clock}`);
}

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  return count < 1_048_576 ? `${(count / 1024).toFixed(1)} KiB` : `${(count / 1_048_576).toFixed(1)} MiB`;
}

/** The end of an id: what tells it from those made just before. */
export const short = (id) => `…${id.slice(-8)}`;

export const runLink = (id, text) => h(text ? "a" : "a.id", { href: `#/runs/${encodeURIComponent(id)}` }, text ?? short(id));

/** A value `{text, bytes}` of the server's. */
export function json(value) {
  const isCut = value.text.length < value.bytes && value.text.endsWith("…");
  const note = isCut && h("p.muted", null, `The beginning of ${bytes(value.bytes)}.`);
  return [h("pre", { tabindex: "0" }, isCut ? value.text : laidOut(value.text)), note];
}

/** JSON with a line for each part, its texts and numbers as they were written. */
export function laidOut(text) {
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  const parts = text.match(/"(?:[^"\\]|\\.)*"|[{[]\s*[}\]]|[{}[\],:]|[^\s"{}[\],:]+/g) ?? [];
  const put = (part) => {
    if (part === "{" || part === "[") return (depth += 1), part + line();
    if (part === "}" || part === "]") return (depth -= 1), line() + part;
    if (part === ",") return part + line();
    return part === ":" ? ": " : part;
  };
  return parts.map(put).join("");
}
