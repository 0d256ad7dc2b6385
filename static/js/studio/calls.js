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
}

export const OFFLINE = { code: "offline", message: "No connection to Voicereel.", next: "Check your network; what you chose is still here." };

const token = () => document.querySelector("#studio [name=csrfmiddlewaretoken]").value;

function signIn() {
  location.assign(`/accounts/login/?next=${encodeURIComponent(location.pathname)}`);
}

export async function get(path, options = {}) {
  return ask(path, { ...options });
}

export async function post(path, body, options = {}) {
  const headers = { "Content-Type": "application/json", "X-CSRFToken": token() };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body), ...options });
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(OFFLINE, 0);
  }
  if (answer.redirected && answer.url.includes("/accounts/login/")) signIn();
  return read(answer.status, await answer.text());
}

function read(status, text) {
  let said = {};
  try { said = JSON.parse(text); } catch { /* a proxy's page, say */ }
  if (status >= 200 && status < 300) return said;
  if (status === 413) said = { code: "file_too_large", message: "The file is too large." };
  if (status === 403 && !said.message) said = { message: "You may not do this here any more.", next: "Reload the page." };
  throw new Problem(said, status);
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
      try { done(read(request.status, request.responseText)); } catch (problem) { failed(problem); }
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
