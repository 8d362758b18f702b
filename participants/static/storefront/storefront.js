// The storefront's script: fills in the form, places the order over REST, shows its saga by polling.
// It knows the API's body and nothing else of the engine.
"use strict";

const shop = JSON.parse(document.getElementById("shop").textContent);
const form = document.getElementById("order-form");
const POLL_MS = 150;
const PATIENT_POLL_MS = 1000;
const PATIENT_AFTER_MS = 10_000;
const ENDED = ["completed", "compensated", "failed"];

const STATE_WORDS = {
  started: "in progress",
  completed: "completed",
  compensating: "rolling back",
  compensated: "rolled back",
  failed: "failed",
};
const STATUS_WORDS = {
  pending: "not started",
  running: "running",
  retrying: "no answer, trying again",
  waiting: "waiting",
  completed: "done",
  failed: "refused",
  unknown: "outcome unknown",
  skipped: "skipped",
  cancelled: "not started",
  compensating: "being undone",
  compensated: "undone",
  compensation_failed: "could not be undone",
  compensation_skipped: "not undone, by decision",
};
// What the customer may be told; for other codes the service's own message is shown.
const REASONS = {
  insufficient_stock: "there is not enough in stock",
  card_declined: "the card was declined",
  address_unserviceable: "we do not ship there",
  parcel_too_large: "no parcel is large enough",
  provider_timeout: "the card provider never answered",
  invalid_request: "the order is incomplete",
};

// --- the form

function money(amount, currency) {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  return format.format(amount / 10 ** shop.digits[currency]);
}

function basket() {
  const currency = form.elements.currency.value;
  return Object.values(shop.articles)
    .map((article) => ({
      sku: article.sku,
      quantity: Number(form.elements[article.sku].value),
      price: article.prices[currency],
    }))
    .filter((line) => line.quantity > 0);
}

function showPrices() {
  const currency = form.elements.currency.value;
  for (const price of document.querySelectorAll("[data-price-of]")) {
    price.textContent = money(shop.articles[price.dataset.priceOf].prices[currency], currency);
  }
  const total = basket().reduce((sum, line) => sum + line.quantity * line.price, 0);
  document.getElementById("total").textContent = money(total, currency);
}

function fillIn(scenario) {
  for (const sku of Object.keys(shop.articles)) {
    form.elements[sku].value = scenario.cart[sku] ?? 0;
  }
  form.elements.card.value = scenario.card;
  form.elements.address.value = scenario.address;
  showPrices();
}

function orderNumber() {
  return `W-${Date.now().toString(36).toUpperCase()}`;
}

function order() {
  return {
    number: orderNumber(),
    customer: "visitor@example.org",
    currency: form.elements.currency.value,
    card: form.elements.card.value,
    lines: basket(),
    address: shop.addresses[form.elements.address.value],
  };
}

function complain(text) {
  const note = document.getElementById("order-error");
  note.textContent = text;
  note.hidden = !text;
}

// --- the API

async function call(path, options = {}) {
  const response = await fetch(form.dataset.api + path, {
    credentials: "same-origin",
    ...options,
    headers: { Accept: "application/json", ...options.headers },
  });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Refusal(response.status, body.error?.message ?? `the server answered ${response.status}`);
  }
  return body;
}

class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

function start(context) {
  return call("", {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "X-CSRFToken": form.elements.csrfmiddlewaretoken.value,
      // The number is new with each order: pressing again after a lost answer cannot order twice.
      "Idempotency-Key": context.number,
    },
    body: JSON.stringify({ name: shop.definition, context }),
  });
}

// An order whose answer was lost is sent again as it was, and not as a new one.
let unanswered = null;

async function place() {
  complain("");
  if (!basket().length) {
    complain("The basket is empty.");
    return;
  }
  const wish = JSON.stringify({ ...order(), number: "" });
  const context = unanswered?.wish === wish ? unanswered.context : order();
  unanswered = { wish, context };
  try {
    const saga = await start(context);
    unanswered = null;
    watch(saga);
    // On a narrow screen the saga stands below the form.
    document.getElementById("saga-title").scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (error instanceof Refusal) {
      unanswered = null;
      complain(error.status === 401 ? "Please sign in again." : `Refused: ${error.message}`);
    } else {
      complain("The shop does not answer. Press again: the same order is not taken twice.");
    }
  }
}

// --- the saga

let watched = null;

async function watch(saga) {
  watched = saga.id;
  history.replaceState(null, "", `#${saga.id}`);
  show(saga);
  const since = performance.now();
  while (watched === saga.id && !ENDED.includes(saga.state)) {
    const patient = performance.now() - since > PATIENT_AFTER_MS || saga.attention;
    await new Promise((resolve) => setTimeout(resolve, patient ? PATIENT_POLL_MS : POLL_MS));
    saga = await look(saga);
  }
  latest();
}

async function look(saga) {
  try {
    const found = await call(`${encodeURIComponent(saga.id)}/`);
    if (watched === found.id) show(found);
    return found;
  } catch (error) {
    if (watched === saga.id) say("The shop does not answer, looking again. The order goes on meanwhile.");
    return { ...saga, attention: saga.attention || "unreachable" };
  }
}

function say(text) {
  const summary = document.getElementById("summary");
  if (summary.textContent !== text) summary.textContent = text;
}

function show(saga) {
  const badge = document.getElementById("state");
  badge.hidden = false;
  badge.textContent = STATE_WORDS[saga.state] ?? saga.state;
  badge.dataset.status = saga.state;
  say(inOneSentence(saga));
  for (const step of saga.steps) showStep(step, saga);
  showFacts(saga);
}

function inOneSentence(saga) {
  const number = saga.context?.number ? `Order ${saga.context.number}` : "The order";
  if (saga.attention) return `${number} needs a person: ${saga.attention}. An operator will look at it.`;
  if (saga.state === "completed") return `${number} is paid, and its parcel is scheduled.`;
  if (saga.state === "started") return `${number} is being fulfilled.`;
  const why = reason(saga);
  if (saga.state === "compensating") return `${number} is rolled back, because ${why}.`;
  if (saga.state === "compensated") return `${number} is rolled back, because ${why}. Nothing is charged, reserved or shipped.`;
  return `${number} failed, because ${why}. Nothing was undone.`;
}

function reason(saga) {
  const step = saga.steps.find((candidate) => candidate.error?.code);
  if (!step) return "an operator asked for it";
  return REASONS[step.error.code] ?? `${step.name} got no answer (${step.error.code})`;
}

function statusOf(step) {
  return step.status === "pending" && step.attempt > 0 ? "retrying" : step.status;
}

function showStep(step, saga) {
  const row = document.querySelector(`[data-step="${CSS.escape(step.name)}"]`);
  if (!row) return;
  const status = statusOf(step);
  row.dataset.status = status;
  row.querySelector(".status").textContent = inWords(step, saga);
  const detail = row.querySelector(".detail");
  detail.replaceChildren(...details(step));
  detail.hidden = !detail.hasChildNodes();
}

function inWords(step, saga) {
  const words = STATUS_WORDS[statusOf(step)] ?? step.status;
  if (step.status === "completed" && !step.compensation && saga.state.startsWith("compensat")) {
    return `${words}, nothing to undo`;
  }
  if (step.attempt < 2) return words;
  return step.status === "running" ? `${words}, attempt ${step.attempt}` : `${words}, after ${step.attempt} attempts`;
}

function details(step) {
  const parts = [];
  if (step.error?.code) {
    const why = document.createElement("span");
    why.className = "why";
    why.textContent = `${step.error.code}: ${step.error.message}`;
    parts.push(why);
  } else if (step.output) {
    const output = document.createElement("code");
    output.textContent = JSON.stringify(step.output).slice(0, 140);
    parts.push(output);
  }
  return parts;
}

function showFacts(saga) {
  const facts = document.getElementById("facts");
  const until = saga.completed_at ? new Date(saga.completed_at) : new Date();
  const seconds = Math.max(0, until - new Date(saga.created_at)) / 1000;
  facts.textContent = `Saga ${saga.id}, revision ${saga.revision}, ${seconds.toFixed(2)} s`;
  facts.hidden = false;
}

// --- the latest orders

async function latest() {
  const list = document.getElementById("recent");
  let sagas;
  try {
    const body = await call(`?name=${encodeURIComponent(shop.definition)}`);
    sagas = (body.results ?? body).slice(0, 6);
  } catch {
    return; // It is only a convenience.
  }
  list.replaceChildren(...sagas.map((saga) => latestRow(saga, list.dataset.admin)));
  document.getElementById("recent-none").hidden = sagas.length > 0;
}

function latestRow(saga, admin) {
  const row = document.createElement("li");
  const badge = document.createElement("span");
  badge.className = "badge";
  badge.dataset.status = saga.state;
  badge.textContent = STATE_WORDS[saga.state] ?? saga.state;
  const again = document.createElement("button");
  again.type = "button";
  again.className = "link";
  again.textContent = saga.id;
  again.addEventListener("click", () => open(saga.id));
  const time = document.createElement("time");
  time.dateTime = saga.created_at;
  time.textContent = new Date(saga.created_at).toLocaleTimeString();
  row.append(badge, again, time);
  if (admin) {
    const link = document.createElement("a");
    link.href = `${admin}${saga.id}/change/`;
    link.textContent = "in the admin";
    row.append(link);
  }
  return row;
}

async function open(id) {
  try {
    watch(await call(`${encodeURIComponent(id)}/`));
  } catch {
    history.replaceState(null, "", location.pathname);
  }
}

// The address of the page names the order that it shows.
function openLinked() {
  const id = location.hash.slice(1);
  if (id && id !== watched) open(id);
}

// --- begin

if (form) {
  for (const choice of form.elements.scenario) {
    choice.addEventListener("change", () => fillIn(shop.scenarios[Number(choice.value)]));
    if (choice.checked) fillIn(shop.scenarios[Number(choice.value)]);
  }
  form.addEventListener("input", showPrices);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button.primary");
    button.disabled = true;
    await place();
    button.disabled = false;
  });
  addEventListener("hashchange", openLinked);
  openLinked();
  latest();
}
