// One job on its way: state, progress, time left, the clips that are there, the end. Nothing here needs a reload.
import { Problem, get, left, post, showProblem } from "./calls.js";
import { Reel } from "./reel.js";

const AGAIN_MS = 3000;

export class Watch extends EventTarget {
  constructor(jobs, { label = "", voice = "", still = "" } = {}) {
    super();
    this.jobs = jobs;
    this.element = document.getElementById("watch").content.firstElementChild.cloneNode(true);
    this.part = (name) => this.element.querySelector(`[data-part="${name}"]`);
    this.button = (name) => this.element.querySelector(`[data-do="${name}"]`);
    this.video = this.element.querySelector("video");
    this.bar = this.element.querySelector("progress");
    this.reel = new Reel(this.video, voice, (index) => `${this.jobs}${this.state.id}/clips/${index}`, (words) => { this.part("wait-text").textContent = words; });
    this.state = null;
    this.part("still").hidden = !still;
    if (still) this.part("still").src = still;
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

  // --- before the job exists ---

  waiting(words) {
    this.part("word").textContent = words;
  }

  refused(problem) {
    this.part("word").className = "badge bad";
    this.part("word").textContent = "Not started";
    this.bar.classList.add("done");
    this.button("cancel").hidden = true;
    showProblem(this.part("error"), problem);
  }

  // --- live ---

  follow(state) {
    this.draw(state);
    if (state.final) return;
    this.stream = new EventSource(`${this.jobs}${state.id}/events`);
    this.stream.addEventListener("message", (event) => {
      this.offline(false);
      this.draw(JSON.parse(event.data));
    });
    // The browser comes back by itself unless it was sent away for good.
    this.stream.addEventListener("error", () => {
      this.offline(!navigator.onLine);
      if (this.stream.readyState !== EventSource.CLOSED || this.state.final) return;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.follow(this.state), AGAIN_MS);
    });
  }

  offline(is) { document.getElementById("offline").hidden = !is; }

  draw(state) {
    const before = this.state;
    this.state = state;
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

  ready(state) {
    this.reel.ready(state.ready);
    if (this.button("clips").hidden) {
      this.button("clips").hidden = false;
      this.reel.show();
    }
  }

  end(state) {
    this.stream?.close();
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
