// The model's options as the form has them. What is left as it is usual is not sent.

export class Options {
  constructor(form) {
    this.fields = [...form.querySelectorAll("[data-option]")];
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
