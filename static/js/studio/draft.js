// What was chosen on the page of one model, kept by the browser's tab, so that a page in between (credit, a key, another
// model, signing in) costs nothing. Files are kept by id; those that are gone meanwhile are passed over.
import { get } from "./calls.js";

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const MOST = 4;

// The jobs that an address names.
export const jobsOf = (search) => new URLSearchParams(search).getAll("job").filter((id) => ID.test(id)).slice(0, MOST);

export class Draft {
  constructor(studio) {
    this.studio = studio;
    this.name = `studio ${studio.root.dataset.draft} ${studio.base}`;
    this.ready = false;
  }

  get kept() {
    try { return JSON.parse(sessionStorage.getItem(this.name)); } catch { return null; }
  }

  // The files and options that the page begins with: of the earlier job that `?from=` names, else of the draft, unless
  // the address names jobs of another time.
  async open() {
    const { studio, kept } = this;
    const given = JSON.parse(document.getElementById("given")?.textContent || "null");
    const jobs = jobsOf(location.search);
    if (given) {
      this.fill(given);
      // From here on it is a draft like any other: who comes back finds what was changed.
      if (!jobs.length) history.replaceState(null, "", location.pathname);
    } else if (kept && (!jobs.length || jobs.join() === kept.jobs)) {
      studio.options.put(kept.options);
      const ids = Object.values(kept.inputs);
      try {
        const { files } = ids.length ? await get(`${studio.files}?${ids.map((id) => `id=${id}`).join("&")}`) : { files: [] };
        this.fill(Object.fromEntries(Object.entries(kept.inputs).map(([role, id]) => [role, files.find((file) => file.id === id)])));
      } catch { /* no line: the files are kept for the next time the page is opened */
        return;
      }
    }
    this.ready = true;
    studio.changed();
  }

  // Slots that somebody has filled meanwhile stay as they are.
  fill(files) {
    for (const slot of this.studio.slots) if (files[slot.role] && !slot.asset && !slot.busy) slot.takeAsset(files[slot.role]);
  }

  keep() {
    if (!this.ready) return;
    const { studio } = this;
    const inputs = {};
    for (const slot of studio.slots) {
      const file = slot.asset || slot.coming;
      if (file) inputs[slot.role] = file.id;
    }
    const jobs = jobsOf(location.search).join();
    studio.button("anew").hidden = !Object.keys(inputs).length && studio.options.usual && !jobs;
    sessionStorage.setItem(this.name, JSON.stringify({ inputs, options: studio.options.raw(), jobs }));
  }

  anew() {
    this.ready = false;
    sessionStorage.removeItem(this.name);
    location.assign(location.pathname);
  }
}
