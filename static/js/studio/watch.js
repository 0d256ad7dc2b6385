// One job on its way: state, progress, time left, the clips that are there, the end. Nothing here needs a reload.
import { Problem, get, left, post, showProblem } from "./calls.js";
import { Reel } from "./reel.js";

const AGAIN_MS = 2000;
const RAREST_MS = 60_000;
// A page that nobody looks at keeps its connections so long: a browser has six of them for all its pages here.
const UNSEEN_MS = 30_000;
const GONE = { message: "This video is not here any more.", next: "It was deleted, or belongs to another organization of yours." };

export class Watch extends EventTarget {
  constructor(jobs, label = "") {
    super();
    this.jobs = jobs;
    this.element = document.getElementById("watch").content.firstElementChild.cloneNode(true);
    this.part = (name) => this.element.querySelector(`[data-part="${name}"]`);
    this.button = (name) => this.element.querySelector(`[data-do="${name}"]`);
    this.video = this.element.querySelector("video");
    this.bar = this.element.querySelector("progress");
    this.reel = new Reel(this.video, (index) => `${this.jobs}${this.state.id}/clips/${index}`, (words) => { this.part("wait-text").textContent = words; });
    this.state = null;
    this.failed = 0;
    this.unseen = () => this.turned();
    document.addEventListener("visibilitychange", this.unseen);
    this.name(label);
    this.button("cancel").addEventListener("click", () => this.cancel());
    this.button("clips").addEventListener("click", () => {
      this.button("clips").textContent = this.reel.toggle() ? "Pause" : "Play what is ready";
    });
  }

  name(label) {
    this.part("label").hidden = !label;
    this.part("label").textContent = label;
  }

  // --- without a job ---

  waiting(words) {
    this.part("word").textContent = words;
  }

  refused(problem, word = "Not started") {
    this.close();
    this.part("word").className = "badge bad";
    this.part("word").textContent = word;
    this.bar.classList.add("done");
    this.button("cancel").hidden = true;
    this.button("clips").hidden = true;
    showProblem(this.part("error"), problem);
  }

  // --- live ---

  follow(state) {
    this.id = state.id;
    this.draw(state);
    if (state.final || this.closed) return;
    this.stream = new EventSource(`${this.jobs}${state.id}/events`);
    this.stream.addEventListener("message", (event) => {
      this.heard();
      this.draw(JSON.parse(event.data));
    });
    this.stream.addEventListener("error", () => this.broken());
  }

  heard() {
    this.failed = 0;
    this.offline(false);
  }

  // The browser comes back by itself once; from then on it is asked for the reason, ever more rarely.
  broken() {
    if (this.state.final) return;
    if (!this.failed && this.stream.readyState !== EventSource.CLOSED) {
      this.failed = 1;
      return;
    }
    this.rest();
    this.again();
  }

  again() {
    this.failed += 1;
    this.offline(this.failed > 1);
    this.timer = setTimeout(() => this.look(this.id), Math.min(AGAIN_MS * 2 ** (this.failed - 1), RAREST_MS));
  }

  // Finds the job, wherever it stands, and follows it.
  async look(id) {
    this.id = id;
    clearTimeout(this.timer);
    try {
      const state = await get(`${this.jobs}${id}`);
      this.heard();
      if (!this.closed) this.follow(state);
    } catch (problem) {
      if (this.closed) return;
      if (!problem.sure || problem.status === 429) this.again();
      else if (problem.status === 404) this.refused(new Problem(GONE, 404), "Gone");
      else this.refused(problem, "Not shown");
    }
  }

  // Nobody looks, or somebody does again; who listens still wants the next clip.
  turned() {
    clearTimeout(this.leave);
    if (document.hidden) this.leave = setTimeout(() => { if (!this.reel.playing) this.rest(); }, UNSEEN_MS);
    else if (this.id && !this.state?.final && !this.stream) this.look(this.id);
  }

  rest() {
    clearTimeout(this.timer);
    this.stream?.close();
    this.stream = null;
  }

  // Out of the page: nothing is asked, and nothing heard, any more.
  close() {
    this.closed = true;
    this.rest();
    if (this.failed) this.heard();
    clearTimeout(this.leave);
    document.removeEventListener("visibilitychange", this.unseen);
    this.reel.stop();
  }

  offline(is) { document.getElementById("offline").hidden = !is; }

  draw(state) {
    const before = this.state;
    this.state = state;
    if (!before) this.begun(state);
    this.part("word").textContent = state.word;
    this.part("word").className = `badge ${state.tone}`;
    this.part("price").textContent = state.final ? state.charged : state.price;
    this.part("more").textContent = more(state);
    this.button("cancel").hidden = state.final;
    this.button("cancel").disabled = state.canceling;
    if (state.percent == null) this.bar.removeAttribute("value");
    else this.bar.value = state.percent;
    if (before && before.word !== state.word) document.getElementById("announce").textContent = state.word;
    if (state.ready && !state.final) this.ready(state);
    if (state.final) this.end(state);
  }

  // What went into it, and what it is.
  begun(state) {
    const { voice, still } = state;
    this.part("still").hidden = !still;
    if (still) this.part("still").src = still;
    if (voice && !state.final) this.reel.hear(voice);
    this.dispatchEvent(new Event("begun"));
  }

  ready(state) {
    this.reel.ready(state.ready);
    if (this.button("clips").hidden) {
      this.button("clips").hidden = false;
      this.reel.show();
    }
  }

  end(state) {
    this.rest();
    this.bar.value = 100;
    this.bar.classList.add("done");
    this.button("clips").hidden = true;
    const page = this.part("page");
    page.hidden = false;
    page.href = state.page;
    if (state.video) {
      this.reel.whole(state.video.url, state.poster);
      const download = this.part("download");
      download.href = `${state.video.url}?download`;
      download.hidden = false;
      const share = this.part("share");
      share.href = `${state.page}#share`;
      share.hidden = false;
    } else {
      this.reel.stop();
      if (state.error) showProblem(this.part("error"), new Problem(state.error, 0));
    }
    this.dispatchEvent(new Event("end"));
    this.count();
  }

  // What is left of the credit, in the page's frame.
  async count() {
    const shown = document.querySelector(".bar .balance");
    try {
      const { balance } = await get(`${this.jobs}${this.state.id}`);
      if (shown && balance) shown.lastChild.textContent = balance;
    } catch { /* the next page tells */ }
  }

  async cancel() {
    this.button("cancel").disabled = true;
    try {
      this.draw(await post(`${this.jobs}${this.state.id}/cancel`, {}));
    } catch (problem) {
      this.button("cancel").disabled = false;
      showProblem(this.part("error"), problem);
    }
  }
}

function more(state) {
  if (state.final) return state.length || "";
  const told = [];
  if (state.place) told.push(state.place === 1 ? "next in line" : `number ${state.place} in line`);
  if (state.percent != null) told.push(`${state.percent} %`);
  if (state.clips > 1) told.push(`clip ${Math.min(state.clip + 1, state.clips)} of ${state.clips}`);
  if (state.seconds != null) told.push(left(state.seconds));
  return told.join(" · ");
}
