// The page of events: a form that sends one, and those that came, with what they started.

import { get, post } from "./ask.js";
import { h } from "./dom.js";
import { pager } from "./runs.js";
import { json, moment, runLink } from "./words.js";

/** What came of the last event that was sent here, and what was wrong with it. */
let said = { text: "", field: "" };

export const title = () => "Events";
export const isLive = (_data, place) => !place.query.get("cursor");

export function load(place) {
  const wanted = {};
  for (const name of ["name", "cursor"]) if (place.query.get(name)) wanted[name] = place.query.get(name);
  return get("/ui/api/events", wanted);
}

export const acts = {
  async send(form) {
    const { name, data } = form.elements;
    const why = wrongWith(name.value, data.value);
    said = why ?? { text: "", field: "" };
    if (why) return form.elements[why.field].focus();
    try {
      // The data as it is written: a number of many digits stays what it is.
      const json = `{"name":${JSON.stringify(name.value.trim())},"data":${data.value.trim() || "{}"}}`;
      const { ids } = await post("/ui/api/events", json);
      said = { text: `Accepted as ${ids[0]}.`, field: "" };
    } catch (refused) {
      said = { text: `Not accepted: ${refused.message}`, field: "name" };
      if (refused.status === 401) throw refused;
    }
    return undefined;
  },
};

function wrongWith(name, data) {
  if (!name.trim()) return { text: "Give the event a name, as in shop/order.placed.", field: "name" };
  let value;
  try {
    value = JSON.parse(data.trim() || "{}");
  } catch (error) {
    return { text: `The data is no JSON: ${error.message}`, field: "data" };
  }
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? null : { text: 'The data is no JSON object: write it as {"key": value}.', field: "data" };
}

export function draw({ events, next, now }, place) {
  const name = place.query.get("name");
  return [
    h("h1", null, "Events"),
    form(),
    name && h("p.tools", { "data-key": "filter" }, "Named ", h("strong", null, name), " ", h("a", { href: "#/events" }, "all")),
    events.length ? table(events, now) : h("p.empty", { "data-key": "none" }, "No event yet."),
    pager(place, next),
  ];
}

function form() {
  const field = (id) => ({
    id,
    name: id,
    "aria-invalid": said.field === id ? "true" : null,
    "aria-describedby": "said",
    autocomplete: "off",
    spellcheck: "false",
  });
  return h(
    "form.send",
    { "data-act": "send", "data-key": "send" },
    h("label", { for: "name" }, "Name"),
    h("input", { ...field("name"), type: "text", placeholder: "shop/order.placed", maxlength: "256" }),
    h("label", { for: "data" }, "Data"),
    h("textarea", { ...field("data"), rows: "4", "data-text": "", placeholder: '{"order": 17}' }),
    h(
      "div.buttons",
      null,
      h("button.primary", { type: "submit" }, "Send"),
      h("span.said", { id: "said", role: "status", "data-wrong": said.field !== "" && said.text !== "" }, said.text),
    ),
  );
}

function table(events, now) {
  const heads = ["Event", "Started", "Came"];
  return h(
    "table.events",
    { "data-key": "table" },
    h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", null, events.map((event) => row(event, now))),
  );
}

function row(event, now) {
  const inside = h(
    "div.inside",
    null,
    h(
      "p.facts",
      null,
      h("span.id", null, event.id),
      event.own_id && event.own_id !== event.id && h("span", null, "own id ", h("span.id", null, event.own_id)),
      h("a", { href: `#/events?name=${encodeURIComponent(event.name)}` }, "all of this name"),
    ),
    json(event.data),
  );
  return h(
    "tr",
    { "data-key": event.id },
    h("td.wide", { "data-label": "Event" }, h("details", null, h("summary", null, h("span.step", null, event.name)), inside)),
    h("td.started", { "data-label": "Started" }, started(event)),
    h("td", { "data-label": "Came" }, moment(event.received_at, now)),
  );
}

function started(event) {
  const runs = event.runs.map((run) => h("div", { "data-key": run.id }, runLink(run.id, run.function ?? run.id)));
  const skips = event.skips.map((skip) => h("div.muted", null, `${skip.function}: not, ${skip.why.replace("_", " ")}`));
  const first = event.duplicate_of && h("div.muted", null, "the same id came before");
  const all = [runs, skips, first].flat().filter(Boolean);
  return all.length ? all : h("span.muted", null, "nothing");
}
