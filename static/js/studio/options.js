// The model's options as the form has them. What is left as it is usual is not sent.

export class Options {
  constructor(form) {
    this.fields = [...form.querySelectorAll("[data-option]")];
    this.controls = [...form.querySelectorAll("[data-field] :is(input, select, textarea), [name=variants]")];
    this.first = this.raw();
  }

  // What stands in the form, by the controls' names: for a draft.
  raw() {
    const chosen = this.controls.filter((control) => control.type !== "radio" || control.checked);
    return Object.fromEntries(chosen.map((control) => [control.name || control.id, control.value]));
  }

  get usual() { return JSON.stringify(this.raw()) === JSON.stringify(this.first); }

  // Puts a draft back; what differs from how the page came is shown.
  put(raw) {
    for (const control of this.controls) {
      const name = control.name || control.id;
      if (!(name in raw) || raw[name] === this.first[name]) continue;
      if (control.type !== "radio") control.value = raw[name];
      else if (control.value === raw[name]) control.checked = true;
      control.closest("details")?.setAttribute("open", "");
    }
  }

  // name to value
  read() {
    const found = {};
    for (const field of this.fields) {
      const value = valueOf(field);
      if (value !== undefined) found[field.dataset.option] = value;
    }
    return found;
  }

  // The boxes that the look at the picture gave, for models that want them.
  fill(verdict) {
    for (const field of this.fields) {
      const box = field.dataset.detected;
      if (box) field.value = verdict?.[box] ? JSON.stringify(verdict[box]) : "";
    }
  }

  get wantsBoxes() { return this.fields.some((field) => field.dataset.detected); }

  get lacksBoxes() { return this.fields.some((field) => field.dataset.detected && !field.value); }

  // Shows a refusal at its field; false where it is about none of them.
  blame(problem) {
    for (const box of document.querySelectorAll("[data-field]")) {
      const line = box.querySelector("[data-error]");
      const guilty = problem && problem.field === box.dataset.field;
      line.hidden = !guilty;
      line.textContent = guilty ? problem.message : "";
      box.querySelector("input, select, textarea")?.toggleAttribute("aria-invalid", Boolean(guilty));
      if (guilty) box.querySelector("input, select, textarea")?.setAttribute("aria-invalid", "true");
      if (guilty) box.closest("details")?.setAttribute("open", "");
    }
    return Boolean(problem && document.querySelector(`[data-field="${CSS.escape(problem.field || "-")}"]`));
  }
}

function valueOf(field) {
  const raw = field.tagName === "FIELDSET" ? field.querySelector("input:checked")?.value ?? "" : field.value.trim();
  if (raw === "") return undefined;
  switch (field.dataset.kind) {
    case "number": return Number(raw);
    case "switch": return raw === "true";
    case "json":
      try { return JSON.parse(raw); } catch { return raw; }
    default: return raw;
  }
}
