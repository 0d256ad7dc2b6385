// Requests to our own host. A refusal becomes a Problem: what happened, and what to do next.

export class Problem extends Error {
  constructor(said, status) {
    super(said.message || "Something went wrong here. Please try again.");
    this.code = said.code || "";
    this.field = said.field || "";
    this.next = said.next || "";
    this.link = said.link;
    this.status = status;
    this.retryAfter = said.retry_after || 0;
  }

  // Whether it is known what became of the request: a lost answer, or a proxy's, does not tell.
  get sure() { return (this.status >= 400 && this.status < 500) || (this.status === 503 && this.code !== ""); }
}

export const OFFLINE = { code: "offline", message: "No connection to Voicereel.", next: "Check your network; what you chose is still here." };
const SIGNED_OUT = { code: "signed_out", message: "Your session has ended.", next: "Sign in again: what you chose is still here." };
const UNREADABLE = { message: "Voicereel gave an answer that this page cannot read.", next: "Try again in a minute." };

const token = () => document.querySelector("#studio [name=csrfmiddlewaretoken]").value;

export async function get(path, options = {}) {
  return ask(path, options);
}

export async function post(path, body, options = {}) {
  const headers = { "Content-Type": "application/json", "X-CSRFToken": token() };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body), ...options });
}

// Whoever cannot be deleted, since a job needs it or it is gone already, stays as it is.
export function discard(path) {
  fetch(path, { method: "DELETE", headers: { "X-CSRFToken": token() }, keepalive: true }).catch(() => {});
}

// The bytes of a file.
export async function bytes(path, signal) {
  const { answer, body } = await reach(path, { signal }, "blob");
  if (!answer.ok || signedOut(answer.url)) read(answer.status, await body.text(), answer.url);
  return body;
}

async function ask(path, options) {
  const { answer, body } = await reach(path, options, "text");
  return read(answer.status, body, answer.url);
}

async function reach(path, options, form) {
  try {
    const answer = await fetch(path, options);
    return { answer, body: await answer[form]() };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(OFFLINE, 0);
  }
}

const signedOut = (url) => new URL(url, location).pathname === "/accounts/login/";

// What was answered, from where. Throws a Problem for everything but JSON with a status of success.
function read(status, text, url) {
  if (signedOut(url)) {
    location.assign(`/accounts/login/?next=${encodeURIComponent(location.pathname + location.search)}`);
    throw new Problem(SIGNED_OUT, 401);
  }
  let said = null;
  try { said = JSON.parse(text); } catch { /* a proxy's page, say */ }
  if (status >= 200 && status < 300 && said) return said;
  if (status === 413) said = { code: "file_too_large", message: "The file is too large.", next: "Choose a smaller one." };
  if (status === 403 && !said) said = { code: "forbidden", message: "You may not do this here any more.", next: "Reload the page." };
  throw new Problem(said || UNREADABLE, status);
}

// Sends a file with progress (0..1). `signal` stops it.
export function upload(path, file, name, progress, signal) {
  return new Promise((done, failed) => {
    const form = new FormData();
    form.append("file", file, name);
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.setRequestHeader("X-CSRFToken", token());
    request.upload.addEventListener("progress", (event) => { if (event.lengthComputable) progress(event.loaded / event.total); });
    request.addEventListener("load", () => {
      try { done(read(request.status, request.responseText, request.responseURL)); } catch (problem) { failed(problem); }
    });
    request.addEventListener("error", () => failed(new Problem(OFFLINE, 0)));
    request.addEventListener("abort", () => failed(new DOMException("stopped", "AbortError")));
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

// A problem in a box: the sentence, what to do next, and a link where one helps.
export function showProblem(box, problem) {
  box.replaceChildren();
  box.hidden = !problem;
  if (!problem) return;
  const line = document.createElement("p");
  line.textContent = problem.message;
  box.append(line);
  if (problem.next) {
    const next = document.createElement("p");
    next.className = "small";
    next.textContent = problem.next;
    box.append(next);
  }
  if (problem.link) {
    const link = document.createElement("a");
    link.href = problem.link.href;
    link.textContent = problem.link.text;
    box.append(link);
  }
}

export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.round(seconds) % 60).padStart(2, "0")}`;

export function left(seconds) {
  if (seconds == null) return "";
  if (seconds < 5) return "a few seconds left";
  if (seconds < 90) return `about ${Math.round(seconds)} s left`;
  return `about ${Math.round(seconds / 60)} min left`;
}
