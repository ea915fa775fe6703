"use strict";
// Everything shown was sent by somebody else: it reaches the page as text nodes only, never as markup.

const POLL_MS = 2000;
const content = document.getElementById("content");
const byId = (id) => document.getElementById(id);
let stats = null;
let shown = "";
let query = "";
let page = 0;
const draft = {}; // shares as typed, and what came of each button: a redrawn view shows them again
const said = new Map();

function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

const count = (number) => Number(number).toLocaleString("en-US");
const rate = (number) => Number(number).toLocaleString("en-US", { maximumFractionDigits: 1 });

function bytes(number) {
  const units = ["bytes", "kB", "MB", "GB"];
  let unit = 0;
  for (; number >= 1000 && unit < units.length - 1; unit++) number /= 1000;
  return `${number.toLocaleString("en-US", { maximumFractionDigits: 1 })} ${units[unit]}`;
}

function time(seconds) {
  const moment = new Date(seconds * 1000);
  if (Number.isNaN(moment.getTime())) return h("span", {}, String(seconds));
  const pad = (number) => String(number).padStart(2, "0");
  const day = `${moment.getFullYear()}-${pad(moment.getMonth() + 1)}-${pad(moment.getDate())}`;
  const clock = [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(pad).join(":");
  return h("time", { datetime: moment.toISOString(), title: moment.toISOString() }, `${day} ${clock}`);
}

function table(caption, quiet, headings, rows) {
  const head = headings.length ? h("thead", {}, h("tr", {}, headings.map((text) => h("th", { scope: "col" }, text)))) : [];
  const title = h("caption", { class: quiet ? "quiet" : null }, caption);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, title, head, h("tbody", {}, rows)));
}

const cell = (kind, ...children) => h("td", { class: kind }, ...children);
const tag = (text, kind) => h("span", { class: `tag ${kind || ""}` }, text);
const link = (cioId, text) => h("a", { href: `#/people/${encodeURIComponent(cioId)}` }, text);
const empty = (title, ...children) => h("div", { class: "empty" }, h("h2", {}, title), ...children);

function typed(value) {
  if (value === "") return h("span", { class: "faint" }, "empty text");
  if (typeof value === "string") return long(value);
  return h("span", { class: "mono" }, long(JSON.stringify(value)));
}

// A text of a thousand bytes scrolls in its place instead of pushing the rest away.
const long = (text) => (text.length > 160 ? h("span", { class: "long", tabindex: "0" }, text) : text);

const typeName = (value) => (Array.isArray(value) ? "array" : value === null ? "null" : typeof value);

function peopleView(data) {
  const search = h("input", {
    type: "search", id: "search", value: query, autocomplete: "off", spellcheck: "false",
    oninput: (event) => { query = event.target.value; page = 0; refresh(); },
  });
  const turn = (step) => () => { page += step; refresh(); };
  const bar = h("div", { class: "bar" },
    h("label", { for: "search" }, "Search ids, e-mails and attributes", search),
    h("button", { type: "button", onclick: turn(-1), ...(page === 0 ? { disabled: "" } : {}) }, "Newer"),
    h("button", { type: "button", onclick: turn(1), ...(data.more ? {} : { disabled: "" }) }, "Older"),
    h("span", { class: "found", role: "status" }, query
      ? `${count(data.matched)} of ${count(data.total)} people` : `${count(data.total)} people`));
  if (!data.total) return [bar, noPeople()];
  if (!data.people.length) return [bar, empty("Nobody matches", h("p", {}, "Search looks at ids, e-mails and attribute values, in any letter case."))];
  const rows = data.people.map((person) => h("tr", {},
    h("th", { scope: "row", class: "who" }, link(person.cio_id, person.key)),
    cell("email", person.email || h("span", { class: "faint" }, "none")),
    cell("summary", person.summary || h("span", { class: "faint" }, "none")),
    cell("number", count(person.attributes)), cell("time", time(person.updated_at))));
  return [bar, table("People", true, ["Person", "E-mail", "Some attributes", "Attributes", "Updated"], rows)];
}

function noPeople() {
  if (stats && stats.discard) {
    return empty("Discard mode keeps no people", h("p", {}, "Requests are validated and counted, then forgotten."));
  }
  return empty("No people yet", h("p", {}, "Point a client at this sandbox and identify somebody; they appear here at once."),
    h("pre", {}, `CUSTOMERIO_TRACK_URL=${location.origin}\nCUSTOMERIO_APP_URL=${location.origin}`));
}

function personView(data) {
  const back = h("p", {}, h("a", { href: "#/people" }, "← All people"));
  if (!data.person) {
    return [back, empty("This person is not here", h("p", {}, "They were deleted, suppressed or merged into somebody else."))];
  }
  const person = data.person;
  const names = Object.keys(person.attributes).sort();
  const attributes = names.map((name) => h("tr", {}, h("th", { scope: "row", class: "text" }, name),
    cell("text", typed(person.attributes[name])), cell("faint", typeName(person.attributes[name])),
    cell("time", time(person.set_at[name] ?? person.created_at))));
  const devices = person.devices.map((device) => h("tr", {}, cell("text mono", device.token || ""),
    cell("", device.platform || ""), cell("time", device.last_used ? time(device.last_used) : "")));
  const related = Object.entries(person.relationships).map(([key, values]) => h("tr", {}, cell("text", key),
    cell("text mono", JSON.stringify(values))));
  const history = data.history.map((entry) => h("tr", {}, cell("time", time(entry.timestamp)),
    cell("", activityTag(entry)), cell("text", activityDetail(entry))));
  return [back,
    h("div", { class: "person" }, h("h2", {}, person.key), h("span", { class: "mono faint" }, `cio_id ${person.cio_id}`),
      h("span", { class: "faint" }, "created ", time(person.created_at)),
      person.unsubscribed ? tag("unsubscribed", "ignored") : tag("subscribed", "accepted"),
      action(person.unsubscribed ? "Resubscribe" : "Unsubscribe",
        () => ask("POST", person.unsubscribed ? "resubscribe" : "unsubscribe", { cio_id: person.cio_id }), () => "")),
    h("div", { class: "columns" },
      h("div", {},
        names.length ? table(`Attributes (${names.length})`, false, ["Name", "Value", "Type", "Set"], attributes)
          : empty("No attributes", h("p", {}, "An identify without attributes made this person.")),
        devices.length ? table("Devices", false, ["Token", "Platform", "Last used"], devices) : null,
        related.length ? table("Relationships", false, ["Object", "Attributes"], related) : null),
      h("div", {}, table("History, newest first", false, ["When", "What", "Detail"], history)))];
}

async function ask(method, path, body) {
  const answer = await fetch(`/_sandbox/${path}`, { method, body: JSON.stringify(body ?? {}) });
  const told = await answer.json();
  return answer.ok ? told : { refused: told.errors ? told.errors[0].detail : `status ${answer.status}` };
}

// A button that asks the sandbox for something and says what came of it beside itself.
function action(label, request, tell) {
  const outcome = h("span", { class: "found", role: "status" }, said.get(label) || "");
  return [h("button", { type: "button", id: `do-${label.replaceAll(" ", "-").toLowerCase()}`, onclick: async (event) => {
    event.target.disabled = true;
    try {
      const told = await request();
      said.set(label, told.refused ? `Refused: ${told.refused}` : tell(told));
    } catch {
      said.set(label, "The sandbox does not answer.");
    }
    outcome.textContent = said.get(label);
    event.target.disabled = false;
    refresh();
  } }, label), outcome];
}

function sendBar() {
  const share = (name, value) => h("label", { for: `share-${name}` }, `${name}, %`,
    h("input", { id: `share-${name}`, type: "number", min: "0", max: "100", value: draft[name] ?? value,
      oninput: (event) => { draft[name] = event.target.value; } }));
  const shares = [["opened", 35], ["clicked", 20], ["bounced", 2], ["unsubscribed", 1]];
  return h("div", { class: "bar" }, shares.map(([name, value]) => share(name, value)),
    action("Send a demo newsletter", () => ask("POST", "send", {
      newsletter: { newsletter_id: 1 }, subject: "A demo newsletter",
      mix: Object.fromEntries(shares.map(([name]) => [name, Number(byId(`share-${name}`).value) / 100])),
    }), (told) => `${count(told.deliveries)} sent, ${count(told.events)} events` +
      Object.entries(told.skipped).map(([why, people]) => `, ${count(people)} ${why.replaceAll("_", " ")}`).join("")));
}

function messagesView(data) {
  if (!data.total && !data.triggers.length) return [sendBar(), empty("No messages yet", h("p", {}, "Send one with the App API, or a newsletter to everybody here who has an e-mail address and has not unsubscribed. What becomes of it is reported by webhook."))];
  const totals = Object.entries(data.metrics).map(([metric, number]) => h("span", {}, metricTag(metric), ` ${count(number)}`));
  const rows = data.deliveries.map((entry) => h("tr", {}, cell("time", time(entry.created_at)), cell("fixed", channelName(entry.channel)),
    h("th", { scope: "row", class: "text" }, h("a", { href: `#/messages/${encodeURIComponent(entry.delivery_id)}` }, entry.subject || "no subject")),
    cell("email", entry.recipient), h("td", { class: "who" }, whose(entry)), cell("fixed", entry.origin),
    cell("tags", entry.state === "scheduled" ? [tag("scheduled", "ignored"), " ", time(entry.send_at)] : entry.happened.map((each) => metricTag(each.metric, each.at)))));
  const scheduled = data.deliveries.some((entry) => entry.state === "scheduled");
  return [sendBar(), h("p", { class: "totals" }, h("span", {}, `${count(data.total)} messages`), totals),
    scheduled ? h("div", { class: "bar" }, action("Send what is scheduled now", () => ask("POST", "scheduled/send"), (told) => `${count(told.sent)} sent`)) : null,
    rows.length ? table("Messages, newest first", true, ["Made", "Channel", "Subject", "Recipient", "Person", "Of", "What happened"], rows) : null,
    data.triggers.length ? triggersTable(data.triggers) : null].filter(Boolean);
}

const channelName = (channel) => channel.replaceAll("_", " ");
const whose = (entry) => (entry.cio_id ? link(entry.cio_id, entry.who) : h("span", { class: "faint" }, entry.who ? `${entry.who} (not here)` : "nobody"));

function triggersTable(triggers) {
  const rows = triggers.map((entry) => h("tr", {}, cell("time", time(entry.created_at)),
    h("th", { scope: "row", class: "fixed" }, `broadcast ${entry.broadcast_id}, trigger ${entry.id}`), cell("fixed", entry.audience.replaceAll("_", " ")),
    cell("", tag(entry.state, { processed: "accepted", failed: "rejected", queued: "ignored" }[entry.state])), cell("number", count(entry.recipients)),
    cell("text", entry.errors.map((error) => h("span", { class: "change" }, error)), entry.more_errors ? `and ${count(entry.more_errors)} more` : "")));
  return table("Triggered broadcasts, newest first", false, ["Triggered", "Broadcast", "Audience", "State", "Recipients", "Errors"], rows);
}

const field = (name, value) => (value ? [h("dt", {}, name), h("dd", {}, value)] : []);

// The message as its recipient would see it. HTML is shown in a frame in which nothing runs and nothing is fetched.
function preview(message) {
  const content = message.content;
  if (content.disable_message_retention) return empty("The content was not kept", h("p", {}, "The call asked for that with disable_message_retention."));
  const nothing = h("p", { class: "faint" }, `The call sent no text of its own: Customer.io fills in the template of ${message.origin} with the data.`);
  if (message.channel === "email") {
    const frame = message.body ? h("iframe", { sandbox: "", title: "Body of the message", src: `/_sandbox/browse/body?delivery_id=${encodeURIComponent(message.delivery_id)}` }) : null;
    const plain = content.body_plain ? h("pre", { class: "plain" }, content.body_plain) : null;
    const attached = Object.entries(content.attachments || {}).map(([name, size]) => h("span", { class: "tag" }, `${name}, ${bytes(size)}`));
    return h("article", { class: "mail", "aria-label": "The message as it would look" },
      h("h3", {}, message.subject || "no subject"), content.preheader ? h("p", { class: "faint" }, content.preheader) : null,
      h("dl", {}, field("From", content.from || "the template's sender"), field("To", message.recipient), field("Cc", content.cc), field("Bcc", content.bcc),
        field("Reply to", content.reply_to), Object.entries(content.headers || {}).map(([name, value]) => field(name, value))),
      attached.length ? h("p", { class: "attached" }, attached) : null, frame, plain && frame ? h("p", { class: "faint" }, "As plain text:") : null, plain,
      frame || plain ? null : nothing);
  }
  const bubble = message.channel === "push"
    ? h("div", { class: "bubble" }, h("strong", {}, content.title || "no title"), h("span", {}, content.message || ""),
      content.link ? h("span", { class: "mono faint" }, content.link) : null, content.image_url ? h("span", { class: "mono faint" }, content.image_url) : null)
    : nothing;
  const devices = message.devices.map((device) => `${device.device_platform}, ${device.device_id}`).join("; ");
  return h("article", { class: "mail", "aria-label": "The message as it would look" },
    h("dl", {}, field("To", message.recipient || "no device"), field("From", content.from), field("Devices", devices)), bubble);
}

function messageView(data) {
  const back = h("p", {}, h("a", { href: "#/messages" }, "← All messages"));
  const message = data.message;
  if (!message) return [back, empty("This message is not here", h("p", {}, "Only so many are remembered, and a reset forgets them all."))];
  const pairs = (values) => Object.keys(values).map((name) => h("tr", {}, h("th", { scope: "row", class: "text" }, name), cell("text", typed(values[name]))));
  const steps = message.happened.map((each) => h("tr", {}, cell("", metricTag(each.metric)), cell("time", time(each.at))));
  const asked = pairs(message.content);
  return [back,
    h("div", { class: "person" }, h("h2", {}, message.subject || `A message by ${channelName(message.channel)}`), tag(channelName(message.channel)), tag(message.state, { scheduled: "ignored" }[message.state] || (BAD.includes(message.state) ? "rejected" : "accepted")),
      h("span", { class: "faint" }, `${message.origin}, to `, whose(message)), h("span", { class: "mono faint" }, message.delivery_id)),
    h("div", { class: "columns" },
      h("div", {}, preview(message)),
      h("div", {},
        message.state === "scheduled" ? h("p", {}, "Held until ", time(message.send_at), ".") : null,
        message.reasons.length ? h("p", { class: "banner bad" }, message.reasons.join("; ")) : null,
        Object.keys(message.data).length ? table("Data", false, ["Name", "Value"], pairs(message.data)) : empty("No data", h("p", {}, "The call sent no message_data.")),
        steps.length ? table("What happened", false, ["What", "When"], steps) : null,
        asked.length ? table("What else the call said", false, ["Name", "Value"], asked) : null))];
}

const BAD = ["bounced", "dropped", "failed", "undeliverable", "spammed"];
const metricTag = (metric, at) => h("span", { class: `tag ${BAD.includes(metric) ? "rejected" : metric === "unsubscribed" ? "ignored" : ""}`, title: at ? new Date(at * 1000).toISOString() : null }, metric);

function webhooksView(data) {
  const settings = data.settings;
  const facts = [
    ["Sent to", settings.url || "nowhere: events are kept"], ["Waiting", count(data.queued + data.in_flight)],
    ["Acknowledged", count(data.acknowledged)], ["Given up", count(data.given_up)], ["Attempts", count(data.attempts)],
    ["Answers", Object.entries(data.by_status).map(([status, number]) => `${count(number)} × ${status}`).join(", ") || "none yet"],
    ["Answer time", data.answer_ms.all.count ? `${data.answer_ms.all.p50} ms median, ${data.answer_ms.all.p99} ms for 99%` : "none yet"],
    ["Waits", settings.clock === 1 ? "as long as Customer.io's" : `${rate(settings.clock)} times shorter than Customer.io's`],
  ].map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), cell("text", value)));
  const failing = Object.entries(data.failing).map(([status, streams]) => `${status} (${count(streams)} of ${count(settings.streams)} ${settings.streams === 1 ? "stream" : "streams"})`);
  const rows = data.events.map((event) => h("tr", {}, cell("number", count(event.number)), cell("fixed", event.what),
    cell("", tag(event.state.replaceAll("_", " "), { acknowledged: "accepted", given_up: "rejected", waiting: "ignored" }[event.state])),
    cell("fixed", event.status), cell("number", count(event.attempts)), cell("time", event.at ? time(event.at) : ""), cell("mono fixed", event.event_id)));
  return [
    failing.length ? h("p", { class: "banner bad", role: "status" }, `Held back by ${failing.join(", ")}: what comes after a failing event waits.`) : null,
    settings.url ? h("div", { class: "bar" }, action("Try again now", () => ask("PUT", "webhooks", {}), () => "Tried.")) : null,
    table("Reporting", false, [], facts),
    rows.length ? table("Events, newest first", false, ["Number", "What", "State", "Answer", "Attempts", "Happened", "Event id"], rows)
      : empty("Nothing to report yet", h("p", {}, "Sent messages and changes of consent are reported here.")),
  ].filter(Boolean);
}

function activityTag(entry) {
  return tag(entry.type.replaceAll("_", " "), entry.type.startsWith("failed") ? "failed" : entry.type === "skipped_update" ? "ignored" : "");
}

function activityDetail(entry) {
  const change = entry.type === "attribute_change" || entry.type === "failed_attribute_change";
  const parts = entry.name ? [h("strong", { class: "change" }, entry.name)] : [];
  for (const [name, value] of Object.entries(entry.data)) {
    if (change && value && typeof value === "object" && "to" in value) {
      parts.push(h("span", { class: "change" }, `${name}: `, value.from ? h("del", {}, long(value.from)) : null,
        value.from ? " → " : null, value.to === "" ? h("span", { class: "faint" }, "removed") : long(value.to)));
    } else {
      const bare = value && typeof value === "object" && !Object.keys(value).length;
      parts.push(h("span", { class: "change" }, bare ? name : [`${name}: `, typed(value)]));
    }
  }
  return parts;
}

function eventsView(data) {
  if (!data.events.length) return [empty("No events yet", h("p", {}, "Events, page views and screen views are listed here as they come in."))];
  const rows = data.events.map((entry) => h("tr", {}, cell("time", time(entry.timestamp)), cell("", tag(entry.type)),
    h("th", { scope: "row", class: "text" }, entry.name),
    cell("text", entry.cio_id ? link(entry.cio_id, entry.who) : h("span", { class: "faint" }, entry.who || "anonymous")),
    cell("text mono", Object.keys(entry.data).length ? JSON.stringify(entry.data) : "")));
  return [table("Events, newest first", true, ["When", "Kind", "Name", "Person", "Data"], rows)];
}

function refusedView(data) {
  if (!data.operations.length) return [empty("Nothing was rejected or ignored", h("p", {}, "Every operation so far was accepted and applied."))];
  const rows = data.operations.map((entry) => h("tr", {}, cell("time", time(entry.at)), cell("", tag(entry.outcome, entry.outcome)),
    cell("mono fixed", `${entry.type} ${entry.action}`), h("th", { scope: "row", class: "text" }, entry.id),
    cell("text", entry.reason.replaceAll("_", " ")), cell("mono fixed", entry.field), cell("text", entry.message)));
  return [table("Rejected and ignored operations, newest first", true, ["When", "Outcome", "Operation", "Subject", "Reason", "Field", "Message"], rows)];
}

function route() {
  const [view, person] = location.hash.replace(/^#\//, "").split("/");
  if (view === "people" && person) return { view: "people", url: `person?cio_id=${person}`, draw: personView };
  if (view === "messages" && person) return { view, url: `message?delivery_id=${person}`, draw: messageView };
  if (view === "messages") return { view, url: "messages", draw: messagesView };
  if (view === "webhooks") return { view, url: "webhooks", draw: webhooksView };
  if (view === "events") return { view, url: "events", draw: eventsView };
  if (view === "refused") return { view, url: "refused", draw: refusedView };
  return { view: "people", url: `people?page=${page}&q=${encodeURIComponent(query)}`, draw: peopleView };
}

function drawTiles() {
  const outcomes = stats.operations;
  const total = outcomes.accepted + outcomes.rejected + outcomes.ignored;
  byId("tile-people").textContent = stats.discard ? "not kept" : count(stats.people);
  byId("tile-suppressed").textContent = stats.discard ? "discard mode" : `${count(stats.suppressed)} identifiers suppressed`;
  byId("tile-operations").textContent = count(total);
  byId("tile-outcomes").textContent = `${count(outcomes.rejected)} rejected, ${count(outcomes.ignored)} ignored`;
  byId("tile-requests").textContent = count(stats.requests);
  byId("tile-bytes").textContent = `${bytes(stats.body_bytes)} received`;
  byId("tile-rate").textContent = rate(stats.requests_per_second);
  byId("tile-operation-rate").textContent = `${rate(stats.operations_per_second)} operations a second`;
  byId("workspace").textContent = `Workspace ${stats.environment_id}, region ${stats.region.toUpperCase()}, ` +
    `people known by ${stats.workspace_kind === "id" ? "id" : "e-mail or id"}, ${stats.kept_in}`;
  const refused = outcomes.rejected + outcomes.ignored;
  byId("count-refused").textContent = count(refused);
  byId("count-refused").hidden = !refused;
  byId("count-webhooks").textContent = Object.keys(stats.webhook.failing).join(", ");
  byId("count-webhooks").hidden = !Object.keys(stats.webhook.failing).length;
  const kinds = stats.faults.map((fault) => `${fault.kind.replaceAll("_", " ")}${fault.status ? ` ${fault.status}` : ""}, ${count(fault.hits)} ${fault.hits === 1 ? "hit" : "hits"}`);
  byId("faults").textContent = `Faults are switched on: ${kinds.join("; ")}.`;
  byId("faults").hidden = !kinds.length;
  const seconds = stats.requests_by_second;
  const top = Math.max(1, ...seconds);
  const points = seconds.map((value, index) => `${(index * 120) / (seconds.length - 1)} ${39 - (value / top) * 36}`);
  byId("chart").querySelector(".line").setAttribute("d", `M${points.join("L")}`);
  byId("chart").querySelector(".area").setAttribute("d", `M0 40L${points.join("L")}L120 40Z`);
}

async function get(path) {
  const answer = await fetch(`/_sandbox/${path}`, { cache: "no-store" });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.text();
}

async function refresh() {
  const here = route();
  try {
    const text = await get(`browse/${here.url}`);
    if (route().url !== here.url) return;
    byId("lost").hidden = true;
    const key = here.url + text;
    if (key === shown) return; // nothing new: selection, focus and scroll stay as they are
    shown = key;
    const field = document.activeElement;
    const caret = field && field.id === "search" ? [field.selectionStart, field.selectionEnd] : null;
    const focused = field && content.contains(field) ? field.id : "";
    content.replaceChildren(...here.draw(JSON.parse(text)));
    if (focused && byId(focused)) {
      byId(focused).focus();
      if (caret) byId(focused).setSelectionRange(...caret);
    }
  } catch {
    byId("lost").hidden = false;
  }
  for (const item of document.querySelectorAll("nav a")) {
    if (item.dataset.view === here.view) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
}

async function poll() {
  if (!document.hidden) {
    try {
      stats = JSON.parse(await get("stats"));
      drawTiles();
    } catch {
      byId("lost").hidden = false;
    }
    await refresh();
  }
  setTimeout(poll, POLL_MS);
}

window.addEventListener("hashchange", () => refresh().then(() => { window.scrollTo(0, 0); content.focus(); }));
poll();
