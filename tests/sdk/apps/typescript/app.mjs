// An application with the official TypeScript SDK: on Express, or as a worker that dials in.

import { encryptionMiddleware } from "@inngest/middleware-encryption";
import express from "express";
import { group, Inngest, NonRetriableError, RetryAfterError, StepError } from "inngest";
import { connect } from "inngest/connect";
import { serve } from "inngest/express";

const APP = process.env.APP;
const ownKey = "event.data.key";
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const settings = { isDev: process.env.MODE !== "production" };
const client = new Inngest({ id: APP, ...settings });
const functions = [];
const notes = [];

function add(id, options, handler) {
  const triggers = options.triggers ?? [{ event: `${APP}/${id}` }];
  const made = client.createFunction({ id, ...options, triggers }, handler);
  functions.push(made);
  return made;
}

function note(event, what) {
  notes.push({ key: event.data.key, what, at: Date.now() });
}

async function sequence({ event, step }) {
  note(event, "call");
  const one = () => {
    note(event, "one");
    return 1;
  };
  const first = await step.run("one", one);
  await step.sleep("nap", 200);
  const second = await step.run("one", one);
  return { sum: first + second, n: event.data.n };
}

add("sequence", {}, sequence);
add("sequence_uncheckpointed", { checkpointing: false }, sequence);

add("sleep_until", {}, async ({ event, step }) => {
  await step.sleepUntil("moment", new Date(event.data.until));
  return { woken_at: Date.now() };
});

async function twoGroups({ event, step }) {
  note(event, "call");
  const part = (name) =>
    step.run(name, () => {
      note(event, name);
      return name;
    });
  const first = await Promise.all([part("a"), part("b")]);
  const second = await Promise.all([part("c"), part("d")]);
  return [...first, ...second].join("");
}

add("parallel", {}, twoGroups);
add("race", {}, (input) => group.parallel({ mode: "race" }, () => twoGroups(input)));

add("mixed", { retries: 0 }, async ({ step }) => {
  const told = await Promise.all([
    step.run("good", () => "good"),
    step.sleep("nap", 100),
    step.invoke("call", { function: callee, data: { how: "returns" } }),
    step.waitForEvent("go", {
      event: `${APP}/go`,
      timeout: "1s",
      if: "async.data.n == 'none'",
    }),
  ]);
  const bad = step.run("bad", () => {
    throw new Error("the step fails");
  });
  const [failed] = await Promise.allSettled([bad]);
  return [...told.map((one) => one ?? null), failed.reason.message];
});

const checkpointing = { bufferedSteps: 3, maxInterval: "10s", maxRuntime: "20s" };
add("sequence_buffered", { checkpointing }, sequence);

add("experiment", {}, async ({ event, group, step }) => {
  const found = await group.experiment("which", {
    variants: { one: () => step.run("one", () => 1), two: () => step.run("two", () => 2) },
    select: Object.assign(() => event.data.variant, {
      __experimentConfig: { strategy: "own" },
    }),
  });
  return { result: found.result, variant: found.variant };
});

add("wait", {}, async ({ event, step }) => {
  const found = await step.waitForEvent("go", {
    event: `${APP}/go`,
    timeout: event.data.timeout * 1000,
    if: "event.data.key == async.data.key",
  });
  return found && { name: found.name, data: found.data };
});

add("signal", {}, async ({ event, step }) => {
  const timeout = event.data.timeout * 1000;
  const signal = event.data.key;
  return step.waitForSignal("signal", { signal, timeout, onConflict: "fail" });
});

add("send_signal", {}, async ({ event, step }) => {
  const data = { from: "a step" };
  return step.sendSignal("tell", { signal: event.data.key, data });
});

const callee = add("callee", {}, async ({ event, step }) => {
  if (event.data.how === "fails") {
    throw new NonRetriableError("the callee fails");
  }
  if (event.data.how === "sleeps") {
    await step.sleep("long", "1h");
  }
  return { got: event.data.how };
});

add("invoke", {}, async ({ event, step }) => {
  const how = event.data.how;
  const nobody = client.createFunction({ id: "nobody", triggers: [] }, () => null);
  const target = how === "unknown" ? { function: nobody } : { function: callee };
  try {
    return await step.invoke("call", { ...target, data: { how }, timeout: "1s" });
  } catch (error) {
    return { error: error.message, name: error.name };
  }
});

add("send", {}, async ({ event, step }) => {
  const sent = { name: `${APP}/sent`, data: { key: event.data.key } };
  const { ids } = await step.sendEvent("both", [sent, sent]);
  return ids;
});

add("sent", {}, async ({ event }) => note(event, "sent"));

add("caught", { retries: 1 }, async ({ event, step }) => {
  try {
    await step.run("bad", () => {
      note(event, "try");
      throw new Error("the step fails");
    });
  } catch (error) {
    return { message: error.message, name: error.name };
  }
});

add("step_retries", { retries: 2 }, async ({ attempt, event, step }) =>
  step.run("flaky", () => {
    note(event, attempt);
    if (attempt < 2) {
      throw new Error("not yet");
    }
    return attempt;
  }),
);

add("retries", { retries: 2 }, async ({ attempt, event }) => {
  note(event, attempt);
  if (attempt < 2) {
    throw new Error("not yet");
  }
  return attempt;
});

add("exhausted", { retries: 1 }, async ({ attempt, event }) => {
  note(event, attempt);
  throw new Error("never");
});

add("retry_after", { retries: 1 }, async ({ attempt, event }) => {
  note(event, attempt);
  if (attempt === 0) {
    throw new RetryAfterError("later", "2s");
  }
  return "done";
});

add("non_retriable", { retries: 3 }, async ({ attempt, event }) => {
  note(event, attempt);
  throw new NonRetriableError("no use");
});

async function onFailure({ error, event }) {
  const failed = { run: event.data.run_id, function: event.data.function_id };
  note(event.data.event, { ...failed, message: error.message });
}

add("failing", { retries: 0, onFailure }, async () => {
  throw new Error("it failed");
});

const cancelOn = [
  { event: `${APP}/cancel`, if: "event.data.key == async.data.key" },
];
add("cancellable", { cancelOn }, async ({ event, step }) => {
  await step.run("begin", () => note(event, "begun"));
  await step.sleep("long", "1h");
  note(event, "went on");
});

const batchEvents = { maxSize: 3, timeout: "1s", key: ownKey };
add("batch", { batchEvents }, async ({ events }) =>
  events.map((event) => event.data.n),
);

const few = { maxSize: 2, timeout: "1s", key: ownKey, if: "event.data.n > 0" };
add("batch_if", { batchEvents: few }, async ({ events }) =>
  events.map((event) => event.data.n),
);

const atMost = { period: "1h", timeout: "1s", key: ownKey };
add("debounce_timeout", { debounce: atMost }, async ({ event }) => event.data.n);

const debounce = { period: "1s", key: ownKey };
add("debounce", { debounce }, async ({ event }) => {
  note(event, event.data.n);
  return event.data.n;
});

const rateLimit = { limit: 2, period: "1h", key: ownKey };
add("rate_limit", { rateLimit }, async ({ event }) => event.data.n);

const throttle = { limit: 1, period: "1s", key: ownKey };
add("throttle", { throttle }, async ({ event }) => note(event, event.data.n));

async function held({ event, step }) {
  await step.run("hold", async () => {
    note(event, `start ${event.data.n}`);
    await sleep(event.data.hold);
    note(event, `end ${event.data.n}`);
  });
  return event.data.n;
}

const concurrency = [{ limit: 1, key: ownKey }];
add("concurrency", { concurrency }, held);
add("priority", { concurrency, priority: { run: "event.data.priority" } }, held);
add("start_timeout", { concurrency, timeouts: { start: "1s" } }, held);
add("idempotent", { idempotency: ownKey }, held);
add("plain", {}, held);
const burst = { limit: 1, burst: 1, period: "1h", key: ownKey };
add("throttle_burst", { throttle: burst }, held);
const shared = [{ limit: 9 }, { limit: 1, key: ownKey, scope: "env" }];
add("shared_one", { concurrency: shared }, held);
add("shared_two", { concurrency: shared }, held);

async function napping({ event, step }) {
  await step.sleep("nap", event.data.nap);
  return event.data.n;
}

add("singleton_skip", { singleton: { mode: "skip", key: ownKey } }, napping);
add("singleton_cancel", { singleton: { mode: "cancel", key: ownKey } }, napping);
const stop = { event: `${APP}/stop`, timeout: "1s" };
add("cancel_timeout", { cancelOn: [stop] }, napping);
add("finish_timeout", { timeouts: { finish: "1s" } }, napping);

const triggers = [
  { event: `${APP}/conditional`, if: "event.data.n > 3" },
  { event: `${APP}/many/*` },
];
add("conditional", { triggers }, async ({ event }) => event.name);

add("scheduled", { triggers: [{ cron: "TZ=Europe/Paris 0 9 * * *" }] }, async () => {});

async function large({ event, step }) {
  let length = 0;
  for (let n = 0; n < 5; n += 1) {
    const part = await step.run(`part ${n}`, () => {
      note(event, "part");
      return "x".repeat(1024 * 1024);
    });
    length += part.length;
  }
  return length;
}

add("large", { checkpointing: false }, large);
add("large_checkpointed", {}, large);

add("fetch", {}, async ({ event, step }) => {
  const url = `${event.data.provider}/echo`;
  const headers = { "X-My-Header": "mine" };
  const answer = await step.fetch(url, { method: "POST", headers, body: "said" });
  return { status: answer.status, body: await answer.json() };
});

add("infer", {}, async ({ event, step }) => {
  const baseUrl = `${event.data.provider}/v1/`;
  const model = step.ai.models.openai({ model: "small", apiKey: "secret", baseUrl });
  const messages = [{ role: "user", content: event.data.say }];
  try {
    return await step.ai.infer("ask", { model, body: { messages } });
  } catch (error) {
    return { error: error.name, is: error instanceof StepError };
  }
});

add("wrap", {}, async ({ event, step }) =>
  step.ai.wrap("wrapped", async (text) => text.toUpperCase(), event.data.say),
);

add("publishes", {}, async ({ event, step }) => {
  const progress = { channel: event.data.key, topic: "progress" };
  await step.realtime.publish("first", progress, { n: 1 });
  await step.waitForEvent("go", { event: `${APP}/go`, timeout: "1h" });
  await step.run("second", () => client.realtime.publish(progress, { n: 2 }));
  return "told";
});

add("streams", {}, async ({ event, step }) => {
  const tokens = { channel: event.data.key, topic: "tokens" };
  await step.run("stream", async () => {
    const words = ReadableStream.from(["eins ", "zwei ", "fünf"]);
    const bytes = words.pipeThrough(new TextEncoderStream());
    await client.realtime.publish(tokens, bytes);
  });
});

const middleware = [encryptionMiddleware({ key: "a secret of ours" })];
add("encrypted", { middleware }, async ({ event, step }) => {
  const told = await step.run("tell", () => "plain words");
  await step.sleep("nap", 1);
  return event.data.open ? told : told.length;
});

add("parts", { retries: 0 }, async ({ event, step }) => {
  const part = async (name) => {
    note(event, name);
    await sleep(name === "second" ? event.data.hold : 0);
  };
  await step.run("first", () => part("first"));
  if (event.data.waits) {
    await step.waitForEvent("go", { event: `${APP}/go`, timeout: "1h" });
  }
  await step.run("second", () => part("second"));
  return "done";
});

const streamed = new Inngest({ id: `${APP}-streamed`, ...settings });
const slow = streamed.createFunction(
  { id: "slow", retries: 0, triggers: [{ event: `${APP}-streamed/slow` }] },
  async ({ event, step }) => {
    const done = await step.run("work", async () => {
      await sleep(event.data.hold);
      return 7;
    });
    if (event.data.fails) {
      throw new Error("streamed failure");
    }
    return done;
  },
);

const web = express();
web.use(express.json({ limit: "50mb" }));
if (process.env.CARRIER === "connect") {
  const streamedApp = { client: streamed, functions: [slow] };
  const connecting = connect({ apps: [{ client, functions }, streamedApp] });
  connecting.then((worker) => worker.closed).then(() => process.exit(0), () => process.exit(1));
  web.put("/api/inngest", async (_, response) => {
    await connecting;
    response.end();
  });
} else {
  web.use("/api/inngest", serve({ client, functions }));
  const servePath = "/api/streamed";
  web.use(servePath, serve({ client: streamed, functions: [slow], servePath, streaming: true }));
}

web.get("/notes", (request, response) => {
  response.json(notes.filter((one) => one.key === request.query.key));
});

web.post("/token", async (request, response) => {
  const { channel } = request.query;
  response.json(await client.realtime.token({ channel, topics: request.body }));
});

web.post("/listen", async (request, response) => {
  const { channel } = request.query;
  const onMessage = ({ kind, topic, data, runId }) => {
    notes.push({ key: channel, what: { kind, topic, data, runId } });
  };
  await client.realtime.subscribe({ channel, topics: request.body, onMessage });
  response.json({});
});

web.post("/send", async (request, response) => {
  try {
    response.json(await client.send(request.body));
  } catch (error) {
    response.json({ error: String(error), ids: [] });
  }
});

web.listen(Number(process.env.PORT), "127.0.0.1");
