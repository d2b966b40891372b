// A run as bars on one scale of time: what it waited for before it started, and each of its steps.

import { h } from "./dom.js";
import { json, length, moment, status } from "./words.js";

const KINDS = {
  run: "step",
  sleep: "sleep",
  wait_for_event: "event",
  wait_for_signal: "signal",
  invoke: "invoke",
};

export function timeline(run) {
  const from = run.created_at;
  const to = Math.max(from + 1, run.ended_at ?? run.now, ...run.steps.map((step) => step.recorded_at ?? 0));
  const scale = { from, length: to - from, now: to };
  const started = run.started_at ?? to;
  const start = { from, to: started, status: run.started_at === null ? run.status : "before" };
  const steps = [...run.steps].sort((one, other) => one.asked_at - other.asked_at);
  return h(
    "section.timeline",
    { "aria-label": "Timeline" },
    h("div.scale", { "aria-hidden": "true" }, marks(scale)),
    started - from > 0 &&
      h(
        "div.row",
        { "data-key": "start" },
        h("div.what", null, h("span.muted", null, "until it started")),
        track(start, scale),
        h("span.took", null, length(started - from)),
      ),
    h("ol", null, steps.map((step) => h("li", { "data-key": step.name }, row(step, run, scale)))),
    !steps.length && h("p.empty", null, "No step yet."),
  );
}

function marks(scale) {
  return [0, 0.25, 0.5, 0.75, 1].map((part) => h("span", null, length(scale.length * part)));
}

function row(step, run, scale) {
  const end = step.recorded_at ?? scale.now;
  const isBad = step.status === "failed" || step.status === "backing_off";
  const summary = h(
    "summary.row",
    null,
    h(
      "div.what",
      null,
      h("span.step", null, step.name),
      h("span.kind", null, KINDS[step.kind] ?? step.kind),
      step.tries > 1 && h("span.kind", null, `${step.tries} tries`),
      step.status !== "completed" && status(step.status),
    ),
    track({ from: step.asked_at, to: end, status: step.status, isWait: step.kind !== "run" }, scale),
    h("span.took", null, length(Math.max(0, end - step.asked_at))),
    isBad && step.error && h("p.error.line", null, step.error.message),
  );
  return h("details", null, summary, h("div.inside", null, facts(step, run), outcome(step)));
}

function track({ from, to, status: state, isWait = false }, scale) {
  const part = (at) => Math.min(1, Math.max(0, (at - scale.from) / scale.length));
  const bar = h("div.bar", { "data-status": state, "data-waited": isWait });
  bar.style.setProperty("--from", part(from).toFixed(5));
  bar.style.setProperty("--to", part(to).toFixed(5));
  return h("div.track", { "aria-hidden": "true" }, bar);
}

function facts(step, run) {
  const failures = step.failures ? `failed ${step.failures === 1 ? "once" : `${step.failures} times`}` : "";
  return h(
    "p.facts",
    null,
    h("span", null, "asked ", moment(step.asked_at, run.now)),
    step.recorded_at && h("span", null, "recorded ", moment(step.recorded_at, run.now)),
    step.until && h("span", null, step.status === "backing_off" ? "again at " : "until ", moment(step.until, run.now)),
    failures && h("span", null, failures),
    run.ended_at !== null &&
      step.recorded_at &&
      h("button.small", { "data-act": "rerun", "data-run": run.id, "data-from": step.name }, "Rerun from here"),
  );
}

function outcome(step) {
  if (step.error) return failure(step.error);
  return step.result ? json(step.result) : h("p.muted", null, "No result yet.");
}

/** An error `{name, message, stack}`. */
export function failure(error) {
  return h(
    "div.failure",
    null,
    h("p.error", null, h("strong", null, error.name || "Error"), error.message ? `: ${error.message}` : ""),
    error.stack && h("pre", { tabindex: "0" }, error.stack),
  );
}
