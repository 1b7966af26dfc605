// A fetch for sliding sessions, to copy. It sends the token to its own origin only, adopts a renewed token only if that expires
// later, shares it between tabs, and never logs it.
//	const session = slidingSession({ onChange: ({ tokenEnds, sessionEnds }, why) => show(tokenEnds, sessionEnds) });
//	session.begin(await fetch("/login", { method: "POST", body }));  // A response that brings the first token.
//	const response = await session.fetch("/api/");                   // As fetch. A 401 for the token ends the session.
//	session.end();                                                   // In the other tabs too.
// sessionStorage keeps the token over a reload; a script of an attacker in the page can read it, so have a strict Content-Security-
// Policy. With { cookie: true } the browser keeps it from scripts, and what is left here is to know when it ends. Times are in
// milliseconds since 1970; 0 is no session. why is begun, renewed, shared, refused or ended.
export function slidingSession({ name = "session", header = "Authorization", cookie = false, onChange = () => {} } = {}) {
  const none = { token: "", tokenEnds: 0, sessionEnds: 0 };
  const tabs = new BroadcastChannel(name);
  let state = JSON.parse(sessionStorage.getItem(name)) ?? none;
  const keep = (next, why) => {
    sessionStorage.setItem(name, JSON.stringify(state = next));
    onChange(next, why);
  };
  const change = (next, why) => {
    tabs.postMessage({ next, why, was: state.token });
    keep(next, why);
  };
  // Of the same session: a late response brings back none that has ended.
  const isLater = (next) => {
    if (!state.tokenEnds || cookie) return state.tokenEnds && next.tokenEnds > state.tokenEnds;
    const [was, is] = [decoded(state.token, 1), decoded(next.token, 1)];
    return is.exp > was.exp && (is.sid === was.sid || !was.sid);
  };
  tabs.onmessage = ({ data: { next, why, was } }) => {
    if (why === "asked" && state.tokenEnds > Date.now()) tabs.postMessage({ next: state, why: "shared" });
    const isNews = { begun: true, ended: true, shared: !state.tokenEnds, refused: was === state.token };
    if (why === "renewed" ? isLater(next) : isNews[why]) keep(next, why);
  };
  if (!state.tokenEnds) tabs.postMessage({ why: "asked" }); // A new tab asks the others.
  const read = ({ headers }) => {
    const token = cookie ? "" : (headers.get(header) ?? "").replace(/^Bearer /i, "");
    const ends = (left) => Date.now() + 1000 * Number(headers.get(left));
    const isThere = headers.has("Token-Expires-In") && (cookie || token);
    return isThere && { token, tokenEnds: ends("Token-Expires-In"), sessionEnds: ends("Session-Expires-In") };
  };
  return {
    get state() { return state; },
    begin(response) { const first = read(response); if (first) change(first, "begun"); return Boolean(first); },
    end() { change(none, "ended"); },
    async fetch(input, init) {
      const request = new Request(input, { ...init, credentials: cookie ? "same-origin" : "omit" });
      if (new URL(request.url).origin !== location.origin) throw new TypeError("the session is for its own origin only");
      const { token } = state;
      if (token) request.headers.set(header, `Bearer ${token}`);
      const response = await fetch(request);
      const next = read(response);
      if (next && isLater(next)) change(next, "renewed");
      const isStepUp = /insufficient_user_authentication/.test(response.headers.get("WWW-Authenticate")); // RFC 9470
      if (response.status === 401 && !isStepUp && state.tokenEnds && token === state.token) change(none, "refused");
      return response;
    },
  };
}
export const decoded = (token, part) => JSON.parse(new TextDecoder().decode( // Its header (0) or claims (1), unchecked.
  Uint8Array.from(atob(token.split(".")[part].replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0))));
