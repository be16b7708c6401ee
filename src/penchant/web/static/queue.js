// Answers that the server has not acknowledged yet lie in localStorage, one key each, and are sent until it has.
// A submission's id is made once, so that sending it again never counts twice.
"use strict";
window.penchant = (() => {
  const place = document.querySelector("[data-annotator]");
  const annotator = place.dataset.annotator;
  const prefix = `penchant.waiting.${annotator}.`;
  const banner = document.getElementById("banner");

  const keys = () => Object.keys(localStorage).filter((key) => key.startsWith(prefix)).sort();
  const say = (text) => { banner.textContent = text; banner.hidden = !text; };
  const sayNext = (text) => { try { sessionStorage.setItem("penchant.said", text); } catch (error) { /* unsaid */ } };
  const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

  async function post(path, value) {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), 15000);
    try {
      const answer = await fetch(`/w/${annotator}/${path}`, {
        method: "POST",
        headers: {"Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": place.dataset.csrf},
        body: JSON.stringify(value),
        signal: stop.signal,
      });
      let said = {};
      try { said = await answer.json(); } catch (error) { /* a proxy's page */ }
      return {status: answer.status, wait: Number(answer.headers.get("Retry-After")) || 0, said};
    } catch (error) {
      return {status: 0, wait: 0, said: {}};
    } finally {
      clearTimeout(timer);
    }
  }

  function keep(submission) {
    const key = `${prefix}${Date.now()}.${submission.id}`;
    try {
      localStorage.setItem(key, JSON.stringify(submission));
    } catch (error) { /* private browsing: then the open page alone keeps it */ }
    return key;
  }

  // Sends one submission until the server has it or refuses it for good. Returns what to tell, or null when saved.
  async function deliver(submission, key) {
    for (let attempt = 0; ; attempt += 1) {
      const {status, wait, said} = await post("judgments", submission);
      if (status === 200) {
        localStorage.removeItem(key);
        say("");
        return null;
      }
      if ([404, 409, 422].includes(status)) {  // sending it again would change nothing
        localStorage.removeItem(key);
        return said.error || "The server refused this answer.";
      }
      if (status === 403) return said.error || "Open the page by your personal link again.";
      const why = status === 503 ? "The server cannot save at the moment." : status === 429
        ? "The server asks to slow down." : "The server cannot be reached.";
      say(`${why} Your answer is kept in this browser and is sent again by itself; you may leave this page open.`);
      await pause(Math.max(wait, Math.min(10, 0.5 * 2 ** attempt)));
    }
  }

  async function flush() {
    let sent = 0;
    for (const key of keys()) {
      let submission = null;
      try { submission = JSON.parse(localStorage.getItem(key)); } catch (error) { /* not ours */ }
      if (!submission) { localStorage.removeItem(key); continue; }
      const refused = await deliver(submission, key);
      if (refused) { say(refused); } else { sent += 1; }
    }
    return sent;
  }

  async function undo(judgment) {
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const {status, said} = await post("undo", {judgment});
      if (status === 200) { sayNext("Undone. The item is here again."); location.assign(`/w/${annotator}/`); return; }
      if (status !== 0 && status !== 503 && status !== 429) { say(said.error || "That cannot be undone."); return; }
      say("The server cannot be reached; trying again.");
      await pause(1 + attempt);
    }
    say("The server cannot be reached, so nothing was undone. Try again later.");
  }

  const button = document.getElementById("undo");
  button?.addEventListener("click", () => { if (!button.disabled) undo(Number(button.dataset.judgment)); });
  return {annotator, keys, say, sayNext, keep, deliver, flush};
})();
if (document.getElementById("done")) window.penchant.flush().then((sent) => { if (sent) location.reload(); });
