// The page of one run: where it stands, why it waits, its timeline, what came of it, and what started it.

import { get, post, remove } from "./ask.js";
import { h } from "./dom.js";
import { failure, timeline } from "./timeline.js";
import { json, length, moment, runLink, status } from "./words.js";

const path = (id) => `/ui/api/runs/${encodeURIComponent(id)}`;

export const title = (run) => (run ? `${run.function}: ${run.status}` : "Run");
export const isLive = (run) => run.ended_at === null;
export const load = (place) => get(path(place.id));

export const acts = {
  async cancel(button) {
    await remove(`/v1/runs/${encodeURIComponent(button.dataset.run)}`);
    return "It is cancelled.";
  },
  async rerun(button) {
    const { run, from } = button.dataset;
    const { run_id: id } = await post(`${path(run)}/rerun`, JSON.stringify(from ? { from } : {}));
    location.hash = `#/runs/${id}`;
  },
};

export function draw(run) {
  return [
    h("p.back", null, h("a", { href: "#/runs" }, "← Runs")),
    h("div.head", null, h("h1", null, run.function), status(run.status), buttons(run)),
    facts(run),
    waits(run),
    run.error && [h("h2", { "data-key": "error" }, "Error"), failure(run.error)],
    h("h2", { "data-key": "timeline" }, "Timeline"),
    timeline(run),
    run.result && [h("h2", { "data-key": "result" }, "Result"), json(run.result)],
    h("h2", { "data-key": "events" }, run.event_count > 1 ? `Events (${run.event_count})` : "Event"),
    run.events.length ? run.events.map(event) : h("p.muted", null, "It is no longer kept."),
    run.events.length > 0 && run.event_count > run.events.length && h("p.muted", null, "These are the first ones."),
  ];
}

function buttons(run) {
  const button = run.ended_at === null
    ? h("button.danger", { "data-act": "cancel", "data-run": run.id, "data-key": "cancel" }, "Cancel")
    : h("button", { "data-act": "rerun", "data-run": run.id, "data-key": "rerun" }, "Rerun");
  return h("div.buttons", null, button);
}

function facts(run) {
  const fact = (name, ...value) => h("div", { "data-key": name }, h("dt", null, name), h("dd", null, value));
  const took = run.started_at === null ? null : (run.ended_at ?? run.now) - run.started_at;
  return h(
    "dl.facts",
    null,
    fact("Run", h("span.id", null, run.id)),
    fact("Created", moment(run.created_at, run.now)),
    run.started_at !== null && fact("Started", moment(run.started_at, run.now)),
    run.ended_at !== null && fact("Ended", moment(run.ended_at, run.now)),
    took !== null && fact(run.ended_at === null ? "Since then" : "Took", length(took)),
    run.rerun_of && fact("Repeats", runLink(run.rerun_of)),
  );
}

function waits(run) {
  if (!run.waiting_on.length) return null;
  return h(
    "section.waits",
    { "aria-label": "What it waits for", "data-key": "waits" },
    h("h2", null, "Waits for"),
    h("ul", null, run.waiting_on.map((wait) => h("li", null, waited(wait, run.now)))),
  );
}

function waited(wait, now) {
  const key = wait.key === null ? "" : ` (${wait.key} = ${wait.value ?? "nothing"})`;
  const said = {
    concurrency: `a slot: ${wait.taken} of ${wait.limit} are taken${key}`,
    run_concurrency: `another run to end: ${wait.taken} of ${wait.limit} are under way${key}`,
    throttle: `its turn in the throttle${key}`,
    debounce: `more events, or none for a while${key}`,
    batch: `more events for its batch${key}`,
    sleep: "the end of a sleep",
    signal: `the signal ${wait.value}`,
    wait_for_event: `the event ${wait.value}${wait.key === null ? "" : ` with ${wait.key}`}`,
    invoke: `the run ${wait.value}`,
    retry: "its next try",
    event: "the moment of its event",
    paused: "its function, which is paused",
    executor: "a process that has its function",
    capacity: "room: as much executes as may at once",
    turn: "others that go first",
  }[wait.on] ?? wait.on;
  return [
    wait.step === null ? said : [h("span.step", null, wait.step), ": ", said],
    wait.ahead > 0 && `, ${wait.ahead} ahead`,
    wait.at_ms !== null && [", until ", moment(wait.at_ms, now)],
    wait.on === "invoke" && wait.value && [" ", runLink(wait.value, "open")],
  ];
}

function event(event) {
  const link = h("a", { href: `#/events?name=${encodeURIComponent(event.name)}` }, event.name);
  return h(
    "div.event",
    { "data-key": event.id },
    h("p", null, link, " ", h("span.id.muted", null, event.id)),
    json(event.data),
  );
}
