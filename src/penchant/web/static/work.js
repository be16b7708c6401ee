// One item: choices, ranking, drafts, shortcuts. What is sent and kept is queue.js.
"use strict";
(() => {
  const form = document.getElementById("form");
  const {assignment, responses} = form.dataset;
  const count = Number(responses);
  const {annotator, keys, say, sayNext, keep, deliver, flush} = window.penchant;
  const byId = (id) => document.getElementById(id);
  const note = byId("note"), reason = byId("reason"), reasons = byId("reasons"), save = byId("save"), live = byId("live");
  const ranking = count > 2 ? byId("responses") : null;
  const draftKey = `penchant.draft.${annotator}.${assignment}`;
  const value = (name) => form.querySelector(`input[name=${name}]:checked`)?.value ?? null;
  const cards = () => [...ranking.children];

  // -- time with the item in view -------------------------------------------------------------------------------
  let seconds = 0, since = document.hidden ? null : performance.now(), sending = false;
  const seen = () => seconds + (since === null ? 0 : (performance.now() - since) / 1000);
  document.addEventListener("visibilitychange", () => {
    seconds = seen();
    since = document.hidden ? null : performance.now();
    if (document.hidden) draft();
  });

  // -- drafts: a reload in the middle changes nothing ---------------------------------------------------------------
  function draft() {
    if (sending) return;
    const order = ranking && cards().map((card) => [Number(card.dataset.shown), card.querySelector(".as-above").checked]);
    const kept = {choice: value("choice"), confidence: value("confidence"), reason: reason.value, note: note.value,
                  seconds: seen(), order};
    try { localStorage.setItem(draftKey, JSON.stringify(kept)); } catch (error) { /* full or forbidden: no draft */ }
  }
  function restore() {
    let kept = null;
    try { kept = JSON.parse(localStorage.getItem(draftKey)); } catch (error) { /* none */ }
    if (!kept) return;
    for (const name of ["choice", "confidence"]) {
      const radio = kept[name] && form.querySelector(`input[name=${name}][value="${CSS.escape(kept[name])}"]`);
      if (radio) radio.checked = true;
    }
    reason.value = kept.reason || "";
    note.value = kept.note || "";
    seconds = Number(kept.seconds) || 0;
    for (const [shown, equal] of (ranking && kept.order) || []) {
      const card = ranking.querySelector(`[data-shown="${Number(shown)}"]`);
      if (card) { card.querySelector(".as-above").checked = equal; ranking.append(card); }
    }
  }
  function forgetOldDrafts() {
    const mine = Object.keys(localStorage).filter((key) => key.startsWith(`penchant.draft.${annotator}.`));
    for (const key of mine) if (key !== draftKey) localStorage.removeItem(key);
  }

  // -- what is chosen ---------------------------------------------------------------------------------------------
  function choose(name, chosen) {
    const radio = form.querySelector(`input[name=${name}][value="${chosen}"]`);
    if (!radio) return;
    radio.checked = true;
    changed();
    live.textContent = radio.closest("label").querySelector("span").firstChild.textContent.trim();
  }
  function changed() {
    const choice = value("choice");
    reasons.hidden = choice !== "skip";
    reason.removeAttribute("aria-invalid");
    if (!ranking) {
      for (const card of byId("responses").children) {
        const wins = choice === (card.dataset.place === "0" ? "first" : "second");
        card.classList.toggle("wins", wins);
      }
    }
    say("");
    draft();
  }
  form.addEventListener("change", (event) => {
    if (event.target.classList.contains("as-above")) ranked(event.target.closest("li"));
    else changed();
  });
  note.addEventListener("input", draft);

  // -- ranking: the order of the cards, and who is as good as the one above -----------------------------------------
  function places() {
    const found = new Array(count);
    let place = 0;
    cards().forEach((card, index) => {
      if (index === 0 || !card.querySelector(".as-above").checked) place = index + 1;
      found[Number(card.dataset.shown)] = place;
    });
    return found;
  }
  function showPlaces() {
    const found = places();
    cards().forEach((card, index) => {
      const place = found[Number(card.dataset.shown)];
      card.querySelector(".place").textContent = `place ${place}`;
      card.querySelector(".equal").hidden = index === 0;
      if (index === 0) card.querySelector(".as-above").checked = false;
      card.querySelector(".up").disabled = index === 0;
      card.querySelector(".down").disabled = index === count - 1;
      card.setAttribute("aria-label", `Response ${card.dataset.letter}, place ${place} of ${count}`);
    });
    return found;
  }
  function ranked(card) {
    const found = showPlaces();
    if (value("choice") !== "ranked") form.querySelector("input[value=ranked]").checked = true;
    changed();
    live.textContent = `Response ${card.dataset.letter} is at place ${found[Number(card.dataset.shown)]} of ${count}`;
  }
  function move(card, by) {
    const list = cards(), to = list.indexOf(card) + by;
    if (to < 0 || to >= count) return;
    const focused = document.activeElement;
    if (by < 0) ranking.insertBefore(card, list[to]);
    else ranking.insertBefore(card, list[to].nextSibling);
    ranked(card);
    if (card.contains(focused)) (focused.disabled ? card : focused).focus();
  }
  function makeDraggable(card) {
    const handle = card.querySelector(".handle");
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      card.classList.add("dragged");
      let y = event.clientY, frame = 0;
      const put = () => {
        const before = cards().filter((other) => other !== card).find((other) => {
          const box = other.getBoundingClientRect();
          return y < box.top + Math.min(box.height / 2, 60);
        }) ?? null;
        if (card.nextElementSibling !== before) {
          ranking.insertBefore(card, before);
          showPlaces();
        }
      };
      const tick = () => {  // at the edge the page goes on, though the finger rests: responses are often taller than a phone
        const by = y < 60 ? -10 : y > window.innerHeight - 60 ? 10 : 0;
        if (by) { window.scrollBy(0, by); put(); }
        frame = requestAnimationFrame(tick);
      };
      const step = (now) => { y = now.clientY; put(); };
      const end = () => {
        cancelAnimationFrame(frame);
        document.removeEventListener("pointermove", step);
        document.removeEventListener("pointerup", end);
        document.removeEventListener("pointercancel", end);
        card.classList.remove("dragged");
        ranked(card);
      };
      // on the document: a card that moves in it would lose the pointer that it had captured
      document.addEventListener("pointermove", step);
      document.addEventListener("pointerup", end);
      document.addEventListener("pointercancel", end);
      tick();
    });
  }
  if (ranking) {
    for (const card of cards()) {
      card.querySelector(".up").addEventListener("click", () => move(card, -1));
      card.querySelector(".down").addEventListener("click", () => move(card, 1));
      makeDraggable(card);
    }
  }

  // -- sending ----------------------------------------------------------------------------------------------------
  function submission() {
    const choice = value("choice");
    if (!choice) { say("Choose an answer first."); byId("verdict").focus(); return null; }
    if (choice === "skip" && !reason.value) { say("Say why you skip it."); reason.setAttribute("aria-invalid", "true"); reason.focus(); return null; }
    const sent = {id: crypto.randomUUID ? crypto.randomUUID() : uuid(), assignment: Number(assignment), choice,
                  note: note.value, seconds: seen(), confidence: Number(value("confidence")) || null};
    if (choice === "skip") { sent.reason = reason.value; sent.confidence = null; }
    if (choice === "first" || choice === "second") {
      sent.choice = "ranked";
      sent.places = choice === "first" ? [1, 2] : [2, 1];
    }
    if (choice === "ranked") {
      sent.places = places();
      if (new Set(sent.places).size === 1) { sent.choice = "tie"; delete sent.places; }
    }
    return sent;
  }
  function uuid() {  // randomUUID is missing where the page is served without HTTPS from another machine
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    const sent = submission();
    if (!sent) return;
    sending = true;
    save.disabled = true;
    live.textContent = "Saving";
    await finish(sent, keep(sent));
  });
  async function finish(sent, key) {
    const refused = await deliver(sent, key);
    if (refused) {
      say(refused);
      sending = false;
      save.disabled = false;
      if (!keys().length) setTimeout(() => location.reload(), 4000);
      return;
    }
    localStorage.removeItem(draftKey);
    sayNext("Saved. The next item.");
    location.reload();
  }

  // -- shortcuts --------------------------------------------------------------------------------------------------
  const toggle = byId("shortcuts");
  toggle.checked = localStorage.getItem("penchant.shortcuts") !== "off";
  toggle.addEventListener("change", () => localStorage.setItem("penchant.shortcuts", toggle.checked ? "on" : "off"));
  function nextConfidence() {
    const radios = [...form.querySelectorAll("input[name=confidence]")];
    const at = radios.findIndex((radio) => radio.checked);
    choose("confidence", radios[(at + 1) % radios.length].value);
  }
  function onCard(event) {
    if (!ranking) return false;
    const list = cards(), card = event.target.closest?.("li.response");
    const at = list.indexOf(card);
    if (/^[1-9]$/.test(event.key) && Number(event.key) <= count) { list[Number(event.key) - 1].focus(); return true; }
    if (at < 0) return false;
    const by = {ArrowUp: -1, ArrowDown: 1}[event.key];
    if (by && event.shiftKey) { move(card, by); return true; }
    if (by && event.target === card) { list[Math.min(count - 1, Math.max(0, at + by))].focus(); return true; }
    if (event.key === "=" && at > 0) {
      const box = card.querySelector(".as-above");
      box.checked = !box.checked;
      ranked(card);
      return true;
    }
    return false;
  }
  document.addEventListener("keydown", (event) => {
    if (!toggle.checked || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = event.target;
    if (target === note) { if (event.key === "Escape") byId("verdict").focus(); return; }
    if (target.tagName === "SELECT" || target === toggle) return;
    if (onCard(event)) { event.preventDefault(); return; }
    const acts = {
      1: () => choose("choice", "first"), 2: () => choose("choice", "second"), t: () => choose("choice", "tie"),
      b: () => choose("choice", "both_bad"), r: () => choose("choice", "ranked"), c: nextConfidence,
      s: () => { choose("choice", "skip"); reason.focus(); }, n: () => note.focus(),
      u: () => byId("undo").click(), "?": () => { byId("help").open = !byId("help").open; },
    };
    const onControl = ["BUTTON", "SUMMARY", "A"].includes(target.tagName);
    if (event.key === "Enter" && !onControl) { event.preventDefault(); form.requestSubmit(); return; }
    const act = Object.hasOwn(acts, event.key) ? acts[event.key] : null;
    if (act && !event.repeat) { event.preventDefault(); act(); }
  });

  // -- begin ------------------------------------------------------------------------------------------------------
  restore();
  forgetOldDrafts();
  if (ranking) showPlaces();
  reasons.hidden = value("choice") !== "skip";
  if (!ranking && value("choice")) changed();
  byId("top").focus({preventScroll: true});
  const said = sessionStorage.getItem("penchant.said");  // what became of the item before; a reader hears it after the title
  sessionStorage.removeItem("penchant.said");
  if (said) setTimeout(() => { live.textContent ||= said; }, 500);
  if (keys().length) {  // an answer of before that the server never acknowledged
    sending = true;
    save.disabled = true;
    flush().then((sent) => {
      if (sent) { location.reload(); return; }
      sending = false;
      save.disabled = false;
    });
  }
})();
