// The demo's page. All that it knows of sessions is in slidingjwt.js; this shows it.
import { decoded, slidingSession } from "./slidingjwt.js";

const $ = (id) => document.getElementById(id);
const text = (id, value) => { $(id).textContent = value; };
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// --- The session: one for each way to keep the token, of which one is in use.

const sessions = {
  bearer: slidingSession({ onChange: (state, why) => changed("bearer", state, why) }),
  cookie: slidingSession({ name: "session in a cookie", cookie: true, onChange: (state, why) => changed("cookie", state, why) }),
};
const mode = () => document.querySelector("input[name=mode]:checked").value;
const session = () => sessions[mode()];
const isIn = () => session().state.tokenEnds > 0;

const lines = {
  begun: "Logged in.",
  shared: "In the session of another tab.",
  ended: "Logged out.",
  refused: "The gateway refuses the token: the session is over.",
};
// What each bar was filled to when it last jumped: the whole of it.
const whole = { token: 1, session: 1 };

function changed(which, state, why) {
  if (state.tokenEnds) document.querySelector(`input[value=${which}]`).checked = true;
  if (which !== mode()) return;
  whole.token = Math.max(1, state.tokenEnds - Date.now());
  whole.session = why === "renewed" ? whole.session : Math.max(1, state.sessionEnds - Date.now());
  if (why === "renewed") log(`Renewed: good for ${seconds(state.tokenEnds)} more.`, "renewed");
  else log(lines[why], why === "refused" ? "bad" : "");
  if (!state.tokenEnds) {
    $("call-often").checked = false;
    disconnect();
    user = "";
  }
  show();
  if (why === "shared") call(); // It says who the user is.
}

let user = ""; // As the service calls the user.

function show() {
  const { token, tokenEnds } = session().state;
  text("who", !tokenEnds ? "Not logged in" : user ? `Logged in as ${user}` : "Logged in");
  $("who").classList.toggle("in", tokenEnds > 0);
  $("credentials").hidden = tokenEnds > 0;
  $("token-parts").hidden = !token;
  $("token-note").hidden = Boolean(token);
  text("token-note", tokenEnds ? "It is in a cookie that no script can read, this page’s included." : "There is none.");
  if (token) {
    text("token-header", JSON.stringify(decoded(token, 0), null, 2));
    text("token-claims", JSON.stringify(decoded(token, 1), null, 2));
  }
  tick();
}

function seconds(until) {
  const left = Math.max(0, Math.round((until - Date.now()) / 1000));
  return left < 120 ? `${left} s` : `${Math.floor(left / 60)} min ${left % 60} s`;
}

function tick() {
  const { tokenEnds, sessionEnds } = session().state;
  for (const [name, ends] of [["token", tokenEnds], ["session", sessionEnds]]) {
    $(`${name}-bar`).value = ends ? Math.max(0, (ends - Date.now()) / whole[name]) : 0;
    text(`${name}-left`, ends ? seconds(ends) : "–");
  }
}
(function move() { tick(); setTimeout(move, calm.matches ? 1000 : 250); })();

function log(message, style = "") {
  const line = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString("en-GB");
  line.className = style;
  line.append(time, message);
  $("log").prepend(line);
  while ($("log").children.length > 100) $("log").lastChild.remove();
}

// --- Log in: by password, or by a provider's token that the gateway exchanges.

for (const choice of document.querySelectorAll("input[name=mode]")) {
  choice.addEventListener("change", async () => {
    // A switch ends the session that was kept the other way.
    const other = sessions[choice.value === "cookie" ? "bearer" : "cookie"];
    if (other === sessions.cookie) await post("/logout");
    if (other.state.tokenEnds) other.end();
    log(`From now on the token is kept in ${choice.value === "cookie" ? "a cookie" : "the page"}. Log in again.`);
    show();
  });
}

const post = (url, init) => fetch(url, { method: "POST", ...init });

async function begin(response, who) {
  const problem = $("login-problem");
  problem.hidden = session().begin(response);
  if (!problem.hidden) problem.textContent = `${response.status}: ${await said(response)}`;
  else { user = who; show(); await call(); }
}

async function said(response) {
  const body = await response.text();
  try { const problem = JSON.parse(body); return problem.detail ?? problem.title ?? body; } catch { return body.trim(); }
}

$("password-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (mode() === "bearer") await post("/logout"); // A cookie of an earlier session would be a second token.
  const body = JSON.stringify({ username: $("username").value, password: $("password").value });
  await begin(await post(mode() === "cookie" ? "/login/cookie" : "/login", { body }), "");
});

const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

$("log-in-provider").addEventListener("click", async () => {
  const verifier = random();
  const state = random();
  sessionStorage.setItem("provider", JSON.stringify({ verifier, state, mode: mode() }));
  const challenge = base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
  location.assign(`/provider/authorize?${new URLSearchParams({
    client_id: "demo-page", response_type: "code", redirect_uri: `${location.origin}/`, scope: "openid",
    state, code_challenge: challenge, code_challenge_method: "S256",
  })}`);
});

async function backFromProvider() {
  const query = new URLSearchParams(location.search);
  const asked = JSON.parse(sessionStorage.getItem("provider"));
  sessionStorage.removeItem("provider");
  if (!query.has("code")) return;
  history.replaceState(null, "", "/");
  if (!asked || asked.state !== query.get("state")) return log("An answer of the provider that nobody asked for.", "bad");
  document.querySelector(`input[value=${asked.mode}]`).checked = true;
  const answer = await post("/provider/token", { body: new URLSearchParams({
    grant_type: "authorization_code", client_id: "demo-page", redirect_uri: `${location.origin}/`,
    code: query.get("code"), code_verifier: asked.verifier,
  }) });
  if (!answer.ok) return log("The provider does not take its code.", "bad");
  const { id_token: token } = await answer.json();
  log("The provider says who you are. The gateway exchanges its token.");
  if (asked.mode === "bearer") await post("/logout");
  const headers = { Authorization: `Bearer ${token}` };
  await begin(await post(asked.mode === "cookie" ? "/exchange/cookie" : "/exchange", { headers }), "");
}

// --- Call the service.

async function call() {
  let response;
  try { response = await session().fetch("/api/"); } catch { return log("The gateway cannot be reached.", "bad"); }
  text("gateway", response.headers.get("X-Gateway") ?? "–");
  text("status", String(response.status));
  $("status").className = response.ok ? "good" : "bad";
  if (!response.ok) {
    text("instance", "–");
    return log(`${response.status}: ${await said(response)}`, "bad");
  }
  const { instance, headers } = await response.json();
  user = headers["X-User-Name"]?.[0] ?? headers["X-User-Id"]?.[0] ?? "";
  text("instance", instance);
  const all = Object.entries(headers).sort();
  $("claims").replaceChildren(...all.filter(([name]) => name.startsWith("X-User-")).map(row));
  $("headers").replaceChildren(...all.map(row));
  show();
}

function row([name, values]) {
  const line = document.createElement("tr");
  const head = document.createElement("th");
  const cell = document.createElement("td");
  head.scope = "row";
  head.textContent = name;
  cell.textContent = values.join(", ");
  line.append(head, cell);
  return line;
}

$("call-once").addEventListener("click", call);
setInterval(() => $("call-often").checked && call(), 1000);

// --- Attack it. These go round the session: what comes back must not end it.

const attack = (headers) => fetch("/api/", { headers, credentials: "omit" });

async function answer(what, response) {
  text("attack-said", `${what} The gateway answers ${response.status}${response.ok ? "." : `, ${response.headers.get("Content-Type")}:`}`);
  $("attack-answer").hidden = false;
  text("attack-answer", JSON.stringify(await response.json(), null, 2));
}

$("forge").addEventListener("click", async () => {
  const now = Math.floor(Date.now() / 1000);
  const { token } = session().state;
  const part = (value) => base64url(new TextEncoder().encode(JSON.stringify(value)));
  const [header, payload] = token
    ? [token.split(".")[0], part({ ...decoded(token, 1), sub: "root", roles: ["admin"] })]
    : [part({ alg: "ES256", typ: "JWT" }), part({ iss: "https://login.example", aud: "demo", sub: "root", iat: now, exp: now + 60 })];
  const signature = token ? token.split(".")[2] : base64url(crypto.getRandomValues(new Uint8Array(64)));
  await answer("Sent: a token for root, with a signature that is not its own.",
    await attack({ Authorization: `Bearer ${[header, payload, signature].join(".")}` }));
});

$("expire").addEventListener("click", async () => {
  text("attack-said", "Taking a token for one second, and waiting until it is over …");
  const body = JSON.stringify({ username: "ada", password: "lovelace" });
  const login = await post("/login/brief", { body, credentials: "omit" });
  const Authorization = login.headers.get("Authorization");
  if (!Authorization) return text("attack-said", `There is no token to be had: ${await said(login)}.`);
  await new Promise((done) => setTimeout(done, 3500)); // Its second, and the gateway's leeway of two.
  await answer("Sent: a token whose time is over.", await attack({ Authorization }));
});

$("spoof").addEventListener("click", async () => {
  const headers = { "X-User-Id": "root", "X_User_Id": "root", "x.user.roles": "admin" };
  const response = await session().fetch("/api/", { headers });
  const what = "Sent: X-User-Id: root, X_User_Id: root and x.user.roles: admin.";
  if (!response.ok) return answer(what, response);
  const { headers: got } = await response.json();
  text("attack-said", `${what} What reached the service:`);
  $("attack-answer").hidden = false;
  text("attack-answer", JSON.stringify(Object.fromEntries(Object.entries(got).filter(([name]) => /^x.user/i.test(name))), null, 2));
});

// --- End it.

$("log-out").addEventListener("click", async () => {
  if (mode() === "cookie") await post("/logout");
  session().end();
});

$("log-out-everywhere").addEventListener("click", async () => {
  const response = await session().fetch("/account/everywhere", { method: "POST" });
  log(response.ok ? "All sessions of the user are taken back. Each gateway knows within five seconds." : `${response.status}: ${await said(response)}`);
});

for (const what of ["lock", "unlock"]) {
  $(what).addEventListener("click", async () => {
    const { token } = session().state;
    const who = token ? decoded(token, 1).sub : { "Grace Hopper": "grace" }[user] ?? "ada";
    const response = await post(`/account/${what}?${new URLSearchParams({ user: who })}`);
    if (response.ok) log(what === "lock" ? `${who} is locked out: no token is renewed any more.` : `${who} may log in again.`);
  });
}

// --- A WebSocket. A browser sends no header of one's choice with it: the token goes by the query, or in the cookie.

let socket = null;

function connect() {
  disconnect();
  const { token } = session().state;
  const query = token ? `?${new URLSearchParams({ access_token: token })}` : "";
  const mine = socket = new WebSocket(`/stream${query}`);
  mine.onopen = () => log("The WebSocket is open.");
  mine.onmessage = ({ data }) => text("stream-said", data);
  mine.onclose = () => {
    log("The WebSocket is closed.");
    if (socket === mine) socket = null;
    buttons();
  };
  buttons();
}
function disconnect() { socket?.close(); }
function buttons() { $("disconnect").disabled = !socket; }

$("connect").addEventListener("click", connect);
$("disconnect").addEventListener("click", disconnect);

// --- Where a reload, or the provider, has left it.

if (sessions.cookie.state.tokenEnds) document.querySelector("input[value=cookie]").checked = true;
for (const [name, ends] of [["token", "tokenEnds"], ["session", "sessionEnds"]]) {
  whole[name] = Math.max(1, session().state[ends] - Date.now());
}
show();
await backFromProvider();
if (isIn()) await call();
