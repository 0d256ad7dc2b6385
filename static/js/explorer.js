// The API explorer: one form, sent as a real request. The key is read from its field when it is needed, and kept nowhere.

// The form changes with the operation, so its parts are looked up when they are needed.
const part = (id) => document.getElementById(id);
const LONGEST = 200_000; // characters of an answer that are shown

function given() {
  const fields = [...part("explorer").querySelectorAll("[data-name]")].filter((field) => field.value !== "");
  const of = (place) => fields.filter((field) => field.dataset.place === place).map((field) => [field.dataset.name, field.value]);
  return { inPath: new Map(of("path")), query: new URLSearchParams(of("query")), headers: of("header") };
}

function address() {
  const { inPath, query } = given();
  const filled = part("explorer").dataset.path.replace(/\{(\w+)\}/g, (whole, name) => (inPath.has(name) ? encodeURIComponent(inPath.get(name)) : whole));
  const asked = query.toString();
  return asked ? `${filled}?${asked}` : filled;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function asCurl() {
  const { method, base } = part("explorer").dataset;
  const body = part("body");
  const file = part("file");
  const lines = [`curl ${method === "GET" ? "" : `-X ${method} `}${quoted(base + address())}`];
  lines.push('-H "Authorization: Bearer $VOICEREEL_KEY"');
  for (const [name, value] of given().headers) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body) lines.push(`-H 'Content-Type: application/json'`, `-d ${quoted(body.value)}`);
  if (file) lines.push(`-F ${quoted(`file=@${file.files[0]?.name ?? "portrait.jpg"}`)}`);
  part("curl").textContent = lines.join(" \\\n  ");
}

// JSON in colours. Spans are made as elements, never as HTML: an answer may hold anything.
const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b/g;
function coloured(text) {
  const parts = document.createDocumentFragment();
  let end = 0;
  for (const found of text.matchAll(TOKEN)) {
    parts.append(text.slice(end, found.index));
    const [whole, string, colon] = found;
    const span = document.createElement("span");
    span.className = string ? (colon ? "tok-key" : "tok-text") : /[tfn]/.test(whole[0]) ? "tok-word" : "tok-number";
    span.textContent = string ?? whole;
    parts.append(span, colon ?? "");
    end = found.index + whole.length;
  }
  parts.append(text.slice(end));
  return parts;
}

function shown(text, type) {
  if (text === "") return "The answer has no body.";
  if (!/\bjson\b/.test(type)) return text.slice(0, LONGEST);
  try {
    return coloured(JSON.stringify(JSON.parse(text), null, 2).slice(0, LONGEST));
  } catch {
    return text.slice(0, LONGEST);
  }
}

function readable() {
  const body = part("body");
  const problem = part("body-problem");
  if (!body) return true;
  try {
    JSON.parse(body.value);
  } catch (error) {
    problem.textContent = `This is no JSON: ${error.message}`;
    problem.hidden = false;
    body.setAttribute("aria-invalid", "true");
    body.focus();
    return false;
  }
  problem.hidden = true;
  body.removeAttribute("aria-invalid");
  return true;
}

document.addEventListener("submit", async (event) => {
  if (event.target.id !== "explorer") return;
  event.preventDefault();
  if (!readable()) return;
  const key = part("api-key").value.trim();
  const [body, file, send, took, status] = ["body", "file", "send", "took", "answer-status"].map(part);
  const [answer, headers, box] = ["answer", "answer-headers", "answer-headers-box"].map(part);
  const request = { method: event.target.dataset.method, headers: new Headers(given().headers), credentials: "omit", cache: "no-store" };
  if (key) request.headers.set("Authorization", `Bearer ${key}`);
  if (body) {
    request.headers.set("Content-Type", "application/json");
    request.body = body.value;
  }
  if (file) {
    request.body = new FormData();
    request.body.append("file", file.files[0]);
  }
  send.disabled = true;
  took.textContent = "Sending…";
  const start = performance.now();
  try {
    const response = await fetch(address(), request);
    const text = await response.text();
    took.textContent = `${Math.round(performance.now() - start)} ms`;
    status.textContent = `${response.status} ${response.statusText}`.trim();
    status.className = `badge plain ${response.ok ? "good" : "bad"}`;
    status.hidden = false;
    answer.replaceChildren(shown(text, response.headers.get("Content-Type") ?? ""));
    headers.textContent = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    box.hidden = false;
  } catch {
    took.textContent = "";
    status.hidden = true;
    answer.textContent = "No answer came. Check your connection, then send it again.";
  } finally {
    send.disabled = false;
  }
});

for (const kind of ["input", "change", "htmx:afterSettle"]) document.addEventListener(kind, asCurl);
asCurl();

// Another operation takes the place of the one before; the key that was typed stays.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target?.id === "operation-box") part("announce").textContent = part("request-title").textContent;
});
