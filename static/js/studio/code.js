// The order as a programme, in every language that can say it.
import { post, showProblem } from "./calls.js";

export class Code {
  constructor() {
    this.dialog = document.getElementById("code");
    this.text = document.getElementById("code-text");
    this.tabs = this.dialog.querySelector('[data-part="tabs"]');
    this.needs = this.dialog.querySelector('[data-part="needs"]');
    this.loading = this.dialog.querySelector('[data-part="loading"]');
    this.looks = 0;
    this.dialog.querySelector('[data-do="close"]').addEventListener("click", () => this.dialog.close());
    this.tabs.addEventListener("keydown", (event) => this.keyed(event));
  }

  async open(path, order) {
    const error = this.dialog.querySelector("[data-error]");
    showProblem(error, null);
    this.tabs.replaceChildren();
    this.text.textContent = "";
    this.needs.textContent = "";
    this.loading.hidden = false;
    this.dialog.showModal();
    const look = ++this.looks;
    try {
      const { examples } = await post(path, order);
      if (look !== this.looks) return;
      for (const example of examples) this.tabs.append(this.tab(example));
      this.tabs.firstElementChild.click();
    } catch (problem) {
      if (look !== this.looks) return;
      showProblem(error, problem);
    }
    this.loading.hidden = true;
  }

  tab(example) {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.role = "tab";
    tab.textContent = example.label;
    tab.addEventListener("click", () => {
      for (const other of this.tabs.children) {
        other.setAttribute("aria-selected", String(other === tab));
        other.tabIndex = other === tab ? 0 : -1;
      }
      this.text.textContent = example.code;
      this.needs.textContent = example.needs ? `pip install ${example.needs}` : "";
    });
    return tab;
  }

  keyed(event) {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!way) return;
    const tabs = [...this.tabs.children];
    const next = tabs[(tabs.indexOf(document.activeElement) + way + tabs.length) % tabs.length];
    next.focus();
    next.click();
  }
}
