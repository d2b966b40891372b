// Durable endpoints with the official TypeScript SDK on Node's own server.

import http from "node:http";
import { Inngest, step } from "inngest";
import { endpointAdapter, serveEndpoint } from "inngest/node";

const isDev = process.env.MODE !== "production";
const client = new Inngest({ id: process.env.APP, isDev, endpointAdapter });
const notes = [];

function note(request, what) {
  const key = new URL(request.url).searchParams.get("key");
  notes.push({ key, what, at: Date.now() });
  return what;
}

/** A step that says when it executes. */
const noted = (request, name) => step.run(name, () => note(request, name));

const endpoints = {
  "/steps": async (request) => {
    const said = [await noted(request, "one"), await noted(request, "two")];
    return Response.json(said, { status: 201, headers: { "X-Made": "here" } });
  },
  "/nap": async (request) => {
    const one = await noted(request, "one");
    await step.sleep("nap", 100);
    return new Response(`${one} ${await noted(request, "two")}`, { status: 202 });
  },
  "/parallel": async (request) => {
    const both = await Promise.all([noted(request, "a"), noted(request, "b")]);
    return Response.json(both.sort());
  },
  "/wait": async (request) => {
    const key = note(request, "call") && new URL(request.url).searchParams.get("key");
    const event = await step.waitForEvent("word", { event: "a/word", timeout: "1m", if: `async.data.key == "${key}"` });
    return Response.json(event?.data.word ?? null);
  },
  "/flaky": async (request) => {
    const tries = await step.run("flaky", () => {
      note(request, "try");
      const key = new URL(request.url).searchParams.get("key");
      const count = notes.filter((one) => one.key === key && one.what === "try").length;
      if (count < 3) throw new Error("not yet");
      return count;
    });
    return Response.json({ tries });
  },
  "/fails": async (request) => {
    await noted(request, "one");
    note(request, "call");
    throw new Error("again and again");
  },
  "/stuck": async (request) => {
    await noted(request, "one");
    const key = new URL(request.url).searchParams.get("key");
    const isFirst = !notes.some((one) => one.key === key && one.what === "call");
    note(request, "call");
    if (isFirst) await new Promise(() => {}); // whoever executes it is lost
    return Response.json(await noted(request, "two"));
  },
  "/page": async (request) => {
    await noted(request, "one");
    await step.sleep("nap", 10);
    return new Response("<script>alert(1)</script>", { headers: { "Content-Type": "text/html" } });
  },
};

const handlers = Object.fromEntries(
  Object.entries(endpoints).map(([path, handler]) => [path, serveEndpoint(client.endpoint(handler))]),
);

const server = http.createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  if (url.pathname === "/notes") {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(notes.filter((one) => one.key === url.searchParams.get("key"))));
    return;
  }
  handlers[url.pathname](request, response);
});
server.listen(Number(process.env.PORT), "127.0.0.1");
